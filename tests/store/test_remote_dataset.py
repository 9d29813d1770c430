"""A dataset at a URL: a note does no harm there either, and a network that fails is one line."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from mmembed.errors import StoreError
from mmembed.jobs.compact import compact
from mmembed.paths import RemotePath, place
from mmembed.store import part_file
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import names_in, read_small_text
from mmembed.store.table import EmbeddingTable, read_errors
from tests.jobs.test_compact import write_parts
from tests.store.parts import remove_leftovers


@pytest.fixture
def given(tmp_path: Path) -> RemotePath:
    """Three parts in memory, reached as at any URL."""
    write_parts(tmp_path / "local", 3)
    folder = place(f"memory://{uuid.uuid4().hex}/out")
    assert isinstance(folder, RemotePath)
    for path in sorted((tmp_path / "local").rglob("*.parquet")):
        put(folder / path.relative_to(tmp_path / "local").as_posix(), path.read_bytes())
    return folder


def put(path: RemotePath, content: bytes) -> None:
    path.filesystem.create_dir(path.parent.inside, recursive=True)
    with path.filesystem.open_output_stream(path.inside) as stream:
        stream.write(content)


def test_a_dataset_at_a_url_is_read_and_compacted(given: RemotePath) -> None:
    assert len(EmbeddingTable.open(given)) == 30
    assert read_errors(given)["path"].to_pylist() == ["00/bad.wav"]
    put(given / ".part-9.parquet.partial", b"half")
    assert compact(given).after == 1
    assert len(EmbeddingTable.open(given)) == 30
    assert [name for name in names_in(given) if name.endswith(".partial")] == []
    assert len(read_errors(given)) == 1


@pytest.mark.parametrize("name", ["../mine.txt", "/mine.txt", "part-/../../mine.txt"])
def test_a_note_at_a_url_removes_nothing_else(given: RemotePath, name: str) -> None:
    put(given.parent / "mine.txt", b"mine")
    note = {"merged": "part-00.parquet", "replaced": [name]}
    put(given / "_compaction.json", json.dumps(note).encode())
    for call in (EmbeddingTable.open, compact, remove_leftovers, read_errors):
        with pytest.raises(StoreError, match="_compaction.json: not the note of a compaction"):
            call(given)
    assert (given.parent / "mine.txt").read_bytes() == b"mine"
    put(given / "_compaction.json", b" " * (17 << 20))
    with pytest.raises(StoreError, match="bytes are too many"):
        read_small_text(given / "_compaction.json")


@pytest.mark.parametrize("method", ["info", "entries", "open", "read_bytes"])
def test_a_network_that_fails_is_one_line(
    method: str, given: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = {"merged": "part-none.parquet", "replaced": ["part-00.parquet"]}
    put(given / "_compaction.json", json.dumps(note).encode())

    def failing(*_: object) -> object:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject\nwith a stack\nof lines")

    monkeypatch.setattr(part_file, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(RemotePath, method, failing)
    for call in (EmbeddingTable.open, read_errors, compact, remove_leftovers):
        if method == "open" and call is remove_leftovers:
            continue  # it opens no part
        with pytest.raises(
            StoreError, match=r"NETWORK_CONNECTION during GetObject with a stack of lines\)?$"
        ) as error:
            call(given)
        assert str(error.value).isprintable()
        assert str(given) in str(error.value)


def test_a_part_at_a_url_that_can_not_be_removed_is_named(
    given: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise OSError("no permission")

    monkeypatch.setattr(RemotePath, "unlink", failing)
    with pytest.raises(StoreError, match="part-00.parquet: can't be removed: no permission"):
        EmbeddingDataset(given).remove("part-00.parquet")
