"""Spaces and datasets made by commit 4cdd53b load with their fingerprint and are continued."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed import EmbeddingTable, embed, load_space
from mmembed.errors import StoreError
from mmembed.media.decode_revision import DECODE_REVISION
from mmembed.store.part_file import read_footer
from mmembed.store.table import read_errors

MADE = Path(__file__).parent / "4cdd53b"
SOURCE = "/srv/mmembed/before/media"  # as the datasets name it
FINGERPRINT = json.loads((MADE / "space" / "space.json").read_text("utf-8"))["fingerprint"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A copy of what was made, as if it had been made there: its source, and times of its files."""
    folder = tmp_path / "made"
    shutil.copytree(MADE, folder)
    for name in ("by_folder", "by_manifest"):
        card = folder / name / "_mmembed.json"
        card.write_text(card.read_text("utf-8").replace(SOURCE, str(folder / "media")), "utf-8")
        for part in folder.glob(f"{name}/part-*.parquet"):
            table = pq.read_table(part)
            text = table.schema.metadata[b"mmembed"].replace(
                SOURCE.encode(), str(folder / "media").encode()
            )
            metadata = {**table.schema.metadata, b"mmembed": text}
            pq.write_table(table.replace_schema_metadata(metadata), part)
    for file in pa.concat_tables(known(folder / "by_folder")).to_pylist():
        os.utime(folder / "media" / file["path"], ns=(file["mtime_ns"], file["mtime_ns"]))
    return folder


def known(out: Path) -> list[pa.Table]:
    columns = ["path", "mtime_ns"]
    return [EmbeddingTable.open(out).rows.select(columns), read_errors(out).select(columns)]


def test_the_space_loads_with_its_fingerprint() -> None:
    space = load_space(MADE / "space")
    assert space.fingerprint == FINGERPRINT
    assert (space.name, space.licence, space.dim) == ("old space", "CC0-1.0", 16)
    assert space.modalities == ("image", "audio", "video")


def test_saved_again_it_is_the_same_space(tmp_path: Path) -> None:
    load_space(MADE / "space").save(tmp_path / "again")
    assert load_space(tmp_path / "again").fingerprint == FINGERPRINT


def by_folder(made: Path) -> Path:
    (made / "media" / "manifest.csv").unlink()
    return made / "media"


def by_manifest(made: Path) -> Path:
    return made / "media" / "manifest.csv"


@pytest.mark.parametrize("source", [by_folder, by_manifest], ids=lambda each: each.__name__)
def test_nothing_of_its_datasets_is_embedded_again(
    made: Path, source: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for modality in ("image", "audio", "video"):
        monkeypatch.setitem(DECODE_REVISION, modality, 1)
    out = made / source.__name__
    before = EmbeddingTable.open(out)
    summary = embed(source(made), out, space=made / "space")
    assert (summary.embedded, summary.failed, summary.removed) == (0, 0, 0)
    assert (summary.kept, summary.kept_failed) == (10, 1)
    after = EmbeddingTable.open(out)
    assert after.rows.equals(before.rows)
    assert np.array_equal(after.vectors, before.vectors)


def test_its_vectors_are_those_of_today(made: Path) -> None:
    before = EmbeddingTable.open(made / "by_folder")
    by_folder(made)
    embed(made / "media", made / "now", space=made / "space", workers=0)
    now = EmbeddingTable.open(made / "now")
    stored = [name for name in before.columns if name != "mtime_ns"]
    assert now.rows.select(stored).equals(before.rows.select(stored))
    assert np.abs(now.vectors - before.vectors).max() < 1e-5
    apart = np.linalg.norm(before.vectors[:, None] - before.vectors, axis=2)
    assert np.median(apart[apart > 0]) > 1e-2, "vectors that are all alike would prove nothing"


@pytest.mark.parametrize("source", [by_folder, by_manifest], ids=lambda each: each.__name__)
def test_its_rows_are_of_the_first_decode_revision(
    made: Path, source: Callable[[Path], Path]
) -> None:
    media, out = source(made), made / source.__name__
    (part,) = out.glob("part-*")
    provenance = read_footer(part).provenance
    assert (provenance.decode_revision, provenance.libraries) == (None, None)
    before = EmbeddingTable.open(out)
    with pytest.raises(StoreError, match="image by revision 1, now 2"):
        embed(media, out, space=made / "space", workers=0)
    files = len(set(before.column("path")))
    broken = len(read_errors(out).column("modality").drop_null())  # tried again, too
    summary = embed(media, out, space=made / "space", workers=0, upgrade=True)
    assert (summary.upgraded, summary.embedded, summary.failed) == (files + broken, files, broken)
    assert summary.rows == Counter(before.column("modality"))
    after = EmbeddingTable.open(out)
    order = [np.argsort(table.column("id")) for table in (before, after)]
    now = after.rows.select(before.columns)
    assert now.take(order[1]).equals(before.rows.take(order[0]))
    assert np.abs(after.vectors[order[1]] - before.vectors[order[0]]).max() < 1e-5
