"""A dataset of boxes and spans is bound to media that were moved; each file is read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmembed.embedding.embed import embed
from mmembed.embedding.plan import moved_files
from mmembed.embedding.plan.moved_files import State
from mmembed.jobs.rebind import Check, rebind
from tests.embedding.plan.test_changes import snapshot
from tests.jobs.copied_media import plainly, rows, source

BOXES = ["", "0,0,20,20", "10,5,16,16", "4,4,8,8"]


@pytest.fixture
def manifest(media: Path) -> Path:
    """Six pictures, each whole and in three boxes, and a box that is outside of its picture."""
    files = sorted(path.relative_to(media).as_posix() for path in media.glob("*/*.png"))[:6]
    lines = [f'{name},"{box}",{i}' for name in files for i, box in enumerate(BOXES)]
    lines.append(f'{files[0]},"0,0,9000,9",9')
    (media / "m.csv").write_text("\n".join(["image,box,label", *lines]))
    return media / "m.csv"


@pytest.fixture
def boxes(manifest: Path, eyes: Path, tmp_path: Path) -> Path:
    summary = embed(manifest, tmp_path / "boxes", space=eyes, workers=0, chunk_files=10)
    assert (summary.embedded, summary.failed) == (24, 1)
    return tmp_path / "boxes"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The new files whose content was read."""
    names: list[str] = []
    checksum = moved_files.checksum
    monkeypatch.setattr(
        moved_files, "checksum", lambda at: names.append(Path(at).name) or checksum(at)
    )
    return names


@pytest.mark.parametrize("name", ["m.csv", "renamed.csv"])
@pytest.mark.parametrize("check", [Check(), Check(checksum=True)])
def test_boxes_follow_their_files_and_nothing_is_embedded_again(
    media: Path, boxes: Path, new: Path, eyes: Path, name: str, check: Check, read: list[str]
) -> None:
    plainly(media, new)
    (new / "m.csv").rename(new / name)
    before = rows(boxes)
    assert len({row["id"] for row in before}) == 24
    summary = rebind(boxes, new / name, check)
    assert (summary.files, summary.same, summary.new, summary.by_size) == (25, 25, 0, 0)
    assert len(read) == len(set(read)) == 6, "each file once, however many boxes it has"
    assert source(boxes) == str(new / name)
    assert rows(boxes) == before
    unchanged = snapshot(boxes)
    again = embed(new / name, boxes, space=eyes, workers=0)
    assert (again.embedded, again.removed, again.kept) == (0, 0, 25)
    assert snapshot(boxes) == unchanged


def test_boxes_of_a_copy_that_holds_something_else_are_named_and_embedded_anew(
    media: Path, manifest: Path, boxes: Path, new: Path, eyes: Path
) -> None:
    plainly(media, new)
    path = sorted(new.glob("*/*.png"))[1]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    name = path.relative_to(new).as_posix()
    summary = rebind(boxes, new / "m.csv")
    assert summary.names[State.OTHER_CONTENT] == [
        name if not box else f"{name}#xywh={box}" for box in ("", "0,0,20,20", "4,4,8,8", BOXES[2])
    ]
    assert (summary.same, summary.files) == (21, 25)
    again = embed(new / "m.csv", boxes, space=eyes, workers=0)
    assert (again.embedded, again.kept) == (4, 21)


def test_boxes_that_the_new_manifest_lacks_are_gone_and_more_are_new(
    media: Path, boxes: Path, new: Path, eyes: Path
) -> None:
    plainly(media, new)
    text = (new / "m.csv").read_text()
    (new / "m.csv").write_text(text.replace('"4,4,8,8"', '"4,4,9,9"', 2))
    summary = rebind(boxes, new / "m.csv")
    assert [name.partition("#")[2] for name in summary.names[State.GONE]] == ["xywh=4,4,8,8"] * 2
    assert (summary.same, summary.new) == (23, 2)
    again = embed(new / "m.csv", boxes, space=eyes, workers=0)
    assert (again.embedded, again.removed) == (2, 2)
