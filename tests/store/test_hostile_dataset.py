"""A stranger's dataset names nothing outside its folder: not by notes, links, pipes or names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.errors import StoreError
from mmembed.jobs.compact import compact
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import names_in, one_line, part_files, read_small_text
from mmembed.store.lock import locked
from mmembed.store.rows import rows_table
from mmembed.store.table import EmbeddingTable, read_errors
from mmembed.store.whole_file import write_whole
from tests.jobs.test_compact import write_parts
from tests.store.parts import PROVENANCE, failure, remove_leftovers, table_of

EVERY: dict[str, Callable[[Path], object]] = {
    "open": EmbeddingTable.open,
    "errors": read_errors,
    "compact": compact,
    "leftovers": remove_leftovers,
}


def state(folder: Path) -> dict[str, bytes]:
    """Everything in a folder: what files hold, and where links lead."""
    return {
        str(path): os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != ".lock"
    }


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Another dataset of the user, and a file."""
    folder = tmp_path / "mine"
    write_parts(folder, 3)
    EmbeddingDataset(folder).write_card(PROVENANCE)
    (folder / "letter.txt").write_text("dear")
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The dataset of a stranger."""
    folder = tmp_path / "given"
    write_parts(folder, 3)
    EmbeddingDataset(folder).write_card(PROVENANCE)
    return folder


@pytest.mark.parametrize("key", ["replaced", "merged"])
@pytest.mark.parametrize(
    "name",
    [
        "../mine/letter.txt",
        "../mine/part-00.parquet",
        "part-/../../mine/part-00.parquet",
        "part-x\\..\\..\\mine\\part-00.parquet",
        "/MINE/letter.txt",
        "/MINE/part-00.parquet",
        "_mmembed.json",
        "_errors/part-00.parquet",
        "part-00.parquet\0",
        "..",
        "",
    ],
)
def test_a_note_that_names_anything_but_parts_removes_nothing(
    name: str, key: str, given: Path, victim: Path
) -> None:
    name = name.replace("/MINE", str(victim))
    note = {"merged": "part-00.parquet", "replaced": ["part-01.parquet"]}
    note[key] = [name] if key == "replaced" else name
    (given / "_compaction.json").write_text(json.dumps(note))
    before = state(given), state(victim)
    for call in EVERY.values():
        with pytest.raises(StoreError, match="_compaction.json: not the note of a compaction") as e:
            call(given)
        assert str(e.value).isprintable()
    assert main(["compact", str(given)]) == 2
    assert (state(given), state(victim)) == before


def test_a_note_of_parts_is_finished_as_before(given: Path) -> None:
    note = {"merged": "part-00.parquet", "replaced": ["part-01.parquet", "part-gone.parquet"]}
    (given / "_compaction.json").write_text(json.dumps(note))
    assert len(EmbeddingTable.open(given)) == 20
    EmbeddingDataset(given).remove_leftovers()
    assert names_in(given) == ["_errors", "_mmembed.json", "part-00.parquet", "part-02.parquet"]


ERROR = "_errors/part-00.parquet"
PLACES = {
    "part-01.parquet": "part-01.parquet",
    "part-new.parquet": "part-01.parquet",
    "_errors": "_errors",
    ERROR: ERROR,
    "_compaction.json": "letter.txt",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_link_to_another_dataset_is_refused_and_that_one_stays(
    place: str, given: Path, victim: Path
) -> None:
    link = given / place
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(victim / PLACES[place])
    kept, mine = state(given), state(victim)
    for name, call in EVERY.items():
        if (name == "open" and "_errors" in place) or (name, place) == ("leftovers", ERROR):
            continue  # it has no business there
        with pytest.raises(StoreError, match=f"{place}: is a link, not a .* of the dataset"):
            call(given)
    assert (state(given), state(victim)) == (kept, mine)
    if place == "_errors":
        with pytest.raises(StoreError, match="_errors: is a link, not a folder"):
            EmbeddingDataset(given).commit("part-9.parquet", table_of(2), failure("x.wav"))
        with pytest.raises(StoreError, match="_errors: is a link, not a folder"):
            EmbeddingDataset(given).remove("part-00.parquet")
        assert (state(given), state(victim)) == (kept, mine)


def test_what_is_written_goes_into_the_folder_not_where_links_lead(
    given: Path, victim: Path
) -> None:
    mine = state(victim)
    letter = victim / "letter.txt"
    for name in (".part-9.parquet.partial", "part-9.parquet", "_errors/.part-9.parquet.partial"):
        (given / name).symlink_to(letter)
    (given / "_errors/part-9.parquet").symlink_to(letter)
    EmbeddingDataset(given).commit("part-9.parquet", table_of(2), failure("x.wav"))
    assert len(EmbeddingTable.open(given)) == 32
    (given / "._mmembed.json.partial").symlink_to(letter)
    (given / "_mmembed.json").unlink()
    (given / "_mmembed.json").symlink_to(letter)
    with pytest.raises(StoreError, match="_mmembed.json: is a link, not a regular file"):
        read_small_text(given / "_mmembed.json")
    EmbeddingDataset(given).write_card(PROVENANCE)
    EmbeddingDataset(given).remove_leftovers()
    write_whole(given / "more.txt", lambda path: path.write_text("more"))
    assert not any(path.is_symlink() for path in given.rglob("*"))
    assert state(victim) == mine


def test_a_lock_that_leads_elsewhere_is_refused(given: Path, victim: Path) -> None:
    mine = state(victim)
    for name, share in ((".lock", ""), (".lock-1-of-2", "1-of-2"), (".lock-2-of-2", "")):
        (given / name).unlink(missing_ok=True)
        (given / name).symlink_to(victim / "letter.txt")
        with pytest.raises(StoreError, match=f"{name}: is a link"), locked(given, share):
            pass
        (given / name).unlink()
    assert state(victim) == mine


def test_the_folder_itself_may_be_a_link(given: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(given)
    assert len(EmbeddingTable.open(tmp_path / "link")) == 30
    assert compact(tmp_path / "link").after == 1
    (tmp_path / "part").symlink_to(part_files(given)[0])
    assert len(EmbeddingTable.open(tmp_path / "part")) == 30


WAITING = """
import sys
from pathlib import Path
from mmembed.errors import MmembedError
from mmembed.jobs.compact import compact
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.table import EmbeddingTable, read_errors
folder = Path(sys.argv[1])
dataset = EmbeddingDataset(folder)
def remove_leftovers(folder):
    dataset.remove_leftovers()
def card_text(folder):
    dataset.card_text()
for call in (EmbeddingTable.open, read_errors, compact, remove_leftovers, card_text):
    try:
        call(folder)
    except MmembedError as error:
        print(call.__name__, error)
"""


@pytest.mark.parametrize(
    "place",
    [
        "part-01.parquet",
        "_errors",
        "_errors/part-00.parquet",
        "_compaction.json",
        "_mmembed.json",
        ".lock",
        ".part-9.parquet.partial",
    ],
)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names here")
def test_a_pipe_is_refused_and_nothing_waits_for_it(place: str, given: Path) -> None:
    path = given / place
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    words = [sys.executable, "-c", WAITING, str(given)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if place.endswith(".partial"):
        assert lines == []
        assert not path.exists()
    else:
        assert lines
        assert all(f"{path}: is a pipe, not a " in line for line in lines)


@pytest.mark.parametrize("place", ["part-01.parquet", "_compaction.json", ".lock", "_mmembed.json"])
def test_a_folder_in_the_place_of_a_file_is_named(place: str, given: Path) -> None:
    (given / place).unlink(missing_ok=True)
    (given / place).mkdir()
    call = {".lock": compact, "_mmembed.json": lambda f: read_small_text(f / place)}.get(place)
    with pytest.raises(StoreError, match=f"{place}: is a folder, not a regular file"):
        (call or EmbeddingTable.open)(given)


def test_a_file_in_the_place_of_the_errors_is_named(given: Path) -> None:
    shutil.rmtree(given / "_errors")
    (given / "_errors").write_text("x")
    with pytest.raises(StoreError, match="_errors: is a file, not a folder of the dataset"):
        read_errors(given)


def test_a_part_with_a_name_of_control_characters_is_shown_in_one_line(given: Path) -> None:
    (given / "part-a\n\x1b[1m.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="is no name of a part file; rename or remove it") as error:
        EmbeddingTable.open(given)
    assert str(error.value).isprintable()
    assert one_line("a\x1b[1m\nb") == "a\\x1b[1m b"
    assert one_line(MemoryError()) == "MemoryError"


@pytest.mark.parametrize("name", ["listdir", "lstat"])
def test_a_folder_that_can_not_be_read_is_no_empty_one(
    name: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user without permission; root has them all."""

    def refused(path: str | Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(f"mmembed.store.dataset_files.os.{name}", refused)
    for call in (EmbeddingTable.open, read_errors, remove_leftovers):
        with pytest.raises(StoreError, match="can't be (listed|read): Permission denied"):
            call(given)


def test_files_that_can_not_be_removed_or_reached_are_named(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        with pytest.raises(StoreError, match="part-00.parquet: can't be removed: Permission den"):
            EmbeddingDataset(given).remove("part-00.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", refused)
        with pytest.raises(StoreError, match="given: can't be reached: Permission denied"):
            EmbeddingTable.open(given)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        with pytest.raises(StoreError, match="_mmembed.json: its mmembed metadata can't be read"):
            read_small_text(given / "_mmembed.json")


def test_vectors_without_a_row_are_not_written() -> None:
    columns = {name: ["a", "b"] for name in ("path", "modality")}
    columns |= {n: [1, 2] for n in ("segment_index", "start_s", "end_s", "size", "mtime_ns")}
    table = table_of(2)
    carried = table.select(["label"])
    for shape in ((3, 4), (1, 4), (4,)):
        with pytest.raises(ValueError, match="do not go with columns of"):
            rows_table(columns, np.ones(shape), carried, table.schema)
