"""A folder of every modality, pictures that are decoded otherwise, and revisions of parts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmembed.media.decode_revision import DECODE_REVISION
from mmembed.preprocess.image import ImagePreprocess
from mmembed.store.part_file import read_footer
from tests.embedding.conftest import write_clip, write_picture, write_sound

PICTURES, SOUNDS, CLIPS = 9, 5, 2
CHANGED = r"decoded otherwise than they are now \(image by revision 1, now 2\).*again\.$"


def write_mixed(folder: Path) -> Path:
    """Write pictures, sounds and clips whose names alternate, a torn picture, and words."""
    for i in range(PICTURES):
        write_picture(folder / f"{i}.png", i, (20 + i, 24))
    for i in range(SOUNDS):
        write_sound(folder / f"{i}.wav", 0.3 + 0.6 * i, i)
    for i in range(CLIPS):
        write_clip(folder / f"{i}.mp4", 0.5 + i, i)
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "words.txt").write_text("no medium that the space knows")
    return folder


def mirror(patch: pytest.MonkeyPatch) -> None:
    """Decode pictures otherwise from now on, and say so."""
    load = ImagePreprocess.load

    def otherwise(self: ImagePreprocess, *given: object, **more: object) -> object:
        return load(self, *given, **more)[:, ::-1]

    patch.setattr(ImagePreprocess, "load", otherwise)
    patch.setitem(DECODE_REVISION, "image", 2)


def revisions(out: Path) -> dict[str, set[int]]:
    """By modality, the revisions of the parts that have rows of it."""
    seen = defaultdict(set)
    for part in out.glob("part-*.parquet"):
        made = read_footer(part).provenance
        for kind in set(pq.read_table(part)["modality"].to_pylist()):
            seen[kind].add(made.revision_of(kind))
    return seen
