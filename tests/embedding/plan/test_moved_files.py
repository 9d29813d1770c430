"""Files looked for in another place: what is the same, what differs, and which are looked into."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.embedding.embed import embed
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.changes import read_without_vectors
from mmembed.embedding.plan.listing import FolderListing
from mmembed.embedding.plan.moved_files import NEVER_NS, MovedFiles, State, drawn
from mmembed.embedding.plan.moved_source import OldSource
from mmembed.media.source_file import File
from mmembed.store.dataset import EmbeddingDataset
from tests.embedding.conftest import Blindness, write_picture

NAMES = st.lists(st.text(min_size=1, max_size=8), max_size=60, unique=True)


def files(names: list[str]) -> list[File]:
    return [File(name, f"/media/{name}") for name in names]


@given(NAMES, st.integers(1, 40), st.randoms())
def test_a_sample_has_as_many_files_as_asked_for_in_whatever_order_they_come(
    names: list[str], count: int, random: object
) -> None:
    sample = drawn(files(names), count)
    assert sample <= set(names)
    assert len(sample) == min(count, len(names))
    random.shuffle(names)
    assert drawn(files(names), count) == sample
    assert drawn(files(names), count + 1) >= sample


@given(NAMES, NAMES, st.integers(1, 40))
def test_a_file_that_is_drawn_from_many_is_drawn_from_fewer(
    names: list[str], others: list[str], count: int
) -> None:
    both = list(dict.fromkeys([*names, *others]))
    assert drawn(files(both), count) & set(names) <= drawn(files(names), count)


def test_each_file_is_as_likely_as_any_other() -> None:
    names = [f"{folder:02}/{i:03}.png" for folder in range(20) for i in range(500)]
    sample = drawn(files(names), 2000)
    by_folder = [sum(name.startswith(f"{folder:02}/") for name in sample) for folder in range(20)]
    assert all(60 <= count <= 140 for count in by_folder)  # 100 ± 4 standard deviations


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(12):
        write_picture(folder / f"{i % 3}/{i:02}.png", i)
    return folder


@pytest.fixture
def copy(media: Path, eyes: Path, tmp_path: Path) -> Path:
    """A copy of the media with other times; the dataset is of the media themselves."""
    embed(media, tmp_path / "out", space=eyes, workers=0, chunk_files=5)
    shutil.copytree(media, tmp_path / "copy", copy_function=shutil.copyfile)
    return tmp_path / "copy"


def looked_for(source: Path, out: Path) -> MovedFiles:
    moved = MovedFiles(Catalog(FolderListing(source, out)))
    for part in EmbeddingDataset(out).parts():
        for table in read_without_vectors(part):
            moved.look_for(part, table)
    return moved


def times(moved: MovedFiles, out: Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    for part in EmbeddingDataset(out).parts():
        table = moved.rebound(part, read_without_vectors(part)[0])
        rows |= dict(zip(table["path"].to_pylist(), table["mtime_ns"].to_pylist(), strict=True))
    return rows


def same_size_other_content(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def test_what_is_the_same_takes_the_new_time_and_what_differs_keeps_none_that_a_file_has(
    media: Path, copy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = times(looked_for(media, out), out)
    (copy / "0/00.png").unlink()
    write_picture(copy / "1/01.png", 50, (10, 10))
    same_size_other_content(copy / "2/02.png")
    write_picture(copy / "new.png", 60)
    moved = looked_for(copy, out)
    assert (moved.total, moved.same, moved.new) == (12, 10, 1)
    assert list(moved.compare(OldSource(media, copy))) == list(range(1, 11))
    assert (moved.same, moved.differing, moved.by_old_source, moved.by_checksum) == (9, 1, 10, 0)
    assert moved.names[State.GONE] == ["0/00.png"]
    assert moved.names[State.OTHER_SIZE] == ["1/01.png"]
    assert moved.names[State.OTHER_CONTENT] == ["2/02.png"]
    after = times(moved, out)
    assert after.pop("0/00.png") == before.pop("0/00.png")
    assert after.pop("1/01.png") == before.pop("1/01.png")
    assert after.pop("2/02.png") == NEVER_NS
    assert after == {path: (copy / path).stat().st_mtime_ns for path in after}
    assert list(moved.compare(OldSource(media, copy))) == []  # each is looked into once


def test_only_a_sample_is_looked_into_and_later_the_rest(
    media: Path, copy: Path, tmp_path: Path
) -> None:
    moved = looked_for(copy, tmp_path / "out")
    assert len(list(moved.compare(OldSource(media, copy), 4))) == 4
    assert moved.by_old_source == 4
    assert len(list(moved.compare(OldSource(media, copy)))) == 8
    assert moved.by_old_source == 12


def test_a_file_in_the_old_source_that_changed_since_says_nothing(
    media: Path, copy: Path, tmp_path: Path
) -> None:
    for i, change in enumerate([same_size_other_content, Path.unlink, Path.touch]):
        change(media / f"{i}/{i:02}.png")
    moved = looked_for(copy, tmp_path / "out")
    list(moved.compare(OldSource(media, copy)))
    assert (moved.same, moved.by_old_source, moved.differing) == (12, 9, 0)
    list(looked_for(copy, tmp_path / "out").compare(None))


def test_what_can_not_be_seen_or_read_keeps_its_rows_as_they_are(
    media: Path, copy: Path, tmp_path: Path, blindness: Blindness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.embedding.plan import moved_files

    out, read = tmp_path / "out", moved_files.checksum

    def refuse(location: str) -> str:
        if location.endswith("11.png"):
            raise OSError(5, "Input/output error")
        return read(location)

    monkeypatch.setattr(moved_files, "checksum", refuse)
    before = times(looked_for(media, out), out)
    blindness.hidden = {copy / "0", copy / "1/01.png"}
    moved = looked_for(copy, out)
    list(moved.compare(OldSource(media, copy)))
    hidden = ["0/00.png", "0/03.png", "0/06.png", "0/09.png", "1/01.png", "2/11.png"]
    assert sorted(moved.names[State.UNSEEN]) == hidden
    assert (moved.total, moved.same, moved.names[State.GONE]) == (12, 6, [])
    after = times(moved, out)
    assert {path: after[path] for path in hidden} == {path: before[path] for path in hidden}
    assert all(after[path] != before[path] for path in set(after) - set(hidden))


def test_a_table_in_which_nothing_changes_is_returned_itself(media: Path, copy: Path) -> None:
    out = copy.with_name("out")
    part = EmbeddingDataset(out).parts()[0]
    table = read_without_vectors(part)[0]
    assert looked_for(media, out).rebound(part, table) is table
    other = looked_for(copy, out).rebound(part, table)
    assert isinstance(other, pa.Table)
    assert other.drop_columns("mtime_ns").equals(table.drop_columns("mtime_ns"))
    assert other.schema.equals(table.schema, check_metadata=True)


def test_a_name_that_is_not_utf8_is_compared_with_the_same_name_in_the_old_source(
    eyes: Path, tmp_path: Path
) -> None:
    old, new, out = (tmp_path / name for name in ("old", "new", "out"))
    write_picture(old / "plain.png", 1)
    write_picture(old / "x.png", 2)
    os.rename(old / "x.png", os.path.join(os.fsencode(old), b"\xff.png"))
    embed(old, out, space=eyes, workers=0)
    shutil.copytree(old, new, copy_function=shutil.copyfile)
    moved = looked_for(new, out)
    list(moved.compare(OldSource(old, new)))
    assert (moved.same, moved.by_old_source) == (2, 2)
