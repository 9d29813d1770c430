"""A dataset: each file is whole or not there, and what is committed is what is read."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import ERROR_SCHEMA
from mmembed.store.table import EmbeddingTable, read_errors
from tests.store.parts import NO_ERRORS, PROVENANCE, failure, table_of


def test_errors_count_only_with_their_part(tmp_path: Path) -> None:
    EmbeddingDataset(tmp_path).commit("part-a.parquet", table_of(0), failure("b.wav"))
    (tmp_path / "_errors" / "part-lost.parquet").write_bytes(
        (tmp_path / "_errors" / "part-a.parquet").read_bytes()
    )
    assert read_errors(tmp_path)["path"].to_pylist() == ["b.wav"]
    (tmp_path / ".part-b.parquet.partial").write_bytes(b"half")
    (tmp_path / "_errors" / ".part-b.parquet.partial").write_bytes(b"half")
    EmbeddingDataset(tmp_path).remove_leftovers()
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["_errors/part-a.parquet", "part-a.parquet"]
    EmbeddingDataset(tmp_path).remove("part-a.parquet")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_part_without_errors_has_no_errors_file(tmp_path: Path) -> None:
    EmbeddingDataset(tmp_path).commit("part-a.parquet", table_of(2), failure("b.wav"))
    EmbeddingDataset(tmp_path).commit("part-a.parquet", table_of(3), ERROR_SCHEMA.empty_table())
    assert len(read_errors(tmp_path)) == 0
    assert not list((tmp_path / "_errors").iterdir())


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddingDataset(tmp_path).commit("part-a.parquet", table_of(2), ERROR_SCHEMA.empty_table())
    before = (tmp_path / "part-a.parquet").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match=r"part-a.parquet: can't be written: No space left"):
        EmbeddingDataset(tmp_path).commit("part-a.parquet", table_of(9), ERROR_SCHEMA.empty_table())
    assert [p.name for p in tmp_path.iterdir()] == ["part-a.parquet"]
    assert (tmp_path / "part-a.parquet").read_bytes() == before


def test_the_card_is_read_back_or_refused(tmp_path: Path) -> None:
    assert EmbeddingDataset(tmp_path).card_text() is None
    EmbeddingDataset(tmp_path).write_card(PROVENANCE)
    assert Provenance.from_json(EmbeddingDataset(tmp_path).card_text() or "", "x") == PROVENANCE
    (tmp_path / "_mmembed.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="its mmembed metadata can't be read"):
        EmbeddingDataset(tmp_path).card_text()


def test_many_can_write_the_card_at_once(tmp_path: Path) -> None:
    """As shards do that start together: each is whole, and none takes away another's file."""
    with ThreadPoolExecutor(8) as pool:
        written = [
            pool.submit(EmbeddingDataset(tmp_path).write_card, PROVENANCE) for _ in range(200)
        ]
    assert [each.result() for each in written] == [None] * 200
    assert [path.name for path in tmp_path.iterdir()] == ["_mmembed.json"]


def test_it_is_named_by_a_path_or_a_url_and_can_be_sent_elsewhere(tmp_path: Path) -> None:
    local = EmbeddingDataset.at(str(tmp_path))
    remote = EmbeddingDataset.at("memory://some/where?token=secret")
    assert (str(local), local.is_remote) == (str(tmp_path), False)
    assert (str(remote), remote.is_remote) == ("memory://some/where", True)
    for dataset in (local, remote):
        assert pickle.loads(pickle.dumps(dataset)) == dataset
        assert EmbeddingDataset.at(dataset.folder) == dataset


def test_where_nothing_is_there_are_no_parts_only_if_that_may_be(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path / "out")
    assert dataset.parts(missing_ok=True) == []
    assert dataset.provenance() is None
    with pytest.raises(StoreError, match="out: no such file or folder"):
        dataset.parts()
    dataset.make()
    dataset.make()
    assert dataset.parts() == []
    with pytest.raises(StoreError, match=r"out: no part-\*.parquet in it. Run `mmembed embed`"):
        dataset.footers()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file/out: can't be made: Not a directory"):
        EmbeddingDataset(tmp_path / "file/out").make()
    with pytest.raises(StoreError, match="file: is a file, but the dataset is a folder"):
        EmbeddingDataset(tmp_path / "file").provenance()


def test_it_has_a_provenance_once_it_has_a_card_and_a_part(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    assert dataset.card() is dataset.provenance() is None
    dataset.write_card(PROVENANCE)
    assert dataset.card() == PROVENANCE
    assert dataset.provenance() is None  # a run that was stopped before its first part
    dataset.commit("part-a.parquet", table_of(1), NO_ERRORS)
    assert dataset.provenance() == PROVENANCE
    (tmp_path / "_mmembed.json").unlink()
    with pytest.raises(StoreError, match="has files but no _mmembed.json, so it is no dataset"):
        dataset.provenance()


def test_a_stranger_s_folder_is_no_dataset(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    (tmp_path / ".lock").touch()
    assert dataset.provenance() is None
    (tmp_path / "holiday.png").touch()
    with pytest.raises(StoreError, match="so it is no dataset. Name another folder"):
        dataset.provenance()


def test_its_parts_come_by_name_and_the_footers_with_them(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    for name, count in (("b", 2), ("a", 0), ("c", 5)):
        dataset.commit(f"part-{name}.parquet", table_of(count), NO_ERRORS)
    (tmp_path / "README.md").write_text("mine")
    assert [part.name[5] for part in dataset.parts()] == ["a", "b", "c"]
    assert [footer.rows for footer in dataset.footers()] == [0, 2, 5]
    assert [footer.part for footer in dataset.footers()] == dataset.parts()
    one = EmbeddingDataset(tmp_path / "part-c.parquet")
    assert one.parts() == [one.folder]
    assert len(one.errors()) == 0


def test_a_column_is_asked_for_in_the_first_part_that_can_be_read(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    (tmp_path / "part-0.parquet").write_bytes(b"torn")
    assert not dataset.has_column("label")
    dataset.commit("part-1.parquet", table_of(1), NO_ERRORS)
    assert dataset.has_column("label")
    assert not dataset.has_column("colour")


def test_a_part_without_rows_commits_its_errors(tmp_path: Path) -> None:
    """A chunk of which no file could be embedded is done all the same."""
    dataset = EmbeddingDataset(tmp_path)
    dataset.commit("part-a.parquet", table_of(0), failure("b.wav"))
    assert dataset.errors()["path"].to_pylist() == ["b.wav"]
    assert len(EmbeddingTable.open(tmp_path)) == 0
    errors = dataset.errors_of("part-a.parquet")
    assert errors is not None
    assert errors.schema == ERROR_SCHEMA
    assert dataset.errors_of("part-b.parquet") is None


def test_errors_of_all_parts_come_sorted_within_each(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    torn = pa.concat_tables([failure(path) for path in ("z.wav", "a.wav", "m.wav")])
    dataset.commit("part-b.parquet", table_of(0), torn)
    dataset.commit("part-a.parquet", table_of(1), failure("n.wav"))
    assert dataset.errors()["path"].to_pylist() == ["n.wav", "a.wav", "m.wav", "z.wav"]


def test_what_is_removed_twice_or_was_never_there_is_no_error(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    dataset.commit("part-a.parquet", table_of(1), failure("b.wav"))
    for _ in range(2):
        dataset.remove("part-a.parquet")
    assert dataset.parts() == []
    assert len(dataset.errors()) == 0


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=8))
def test_any_history_of_commits_and_removals_holds_what_came_last(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    """No rows and no errors stand for a removal."""
    dataset = EmbeddingDataset(tmp_path_factory.mktemp("history"))
    expected: dict[str, tuple[int, int]] = {}
    for name, count, failed in steps:
        part = f"part-{name}.parquet"
        expected.pop(part, None)
        if count or failed:
            dataset.commit(part, table_of(count), failure(f"{name}.wav") if failed else NO_ERRORS)
            expected[part] = count, int(failed)
        else:
            dataset.remove(part)
        dataset.remove_leftovers()
    counts = {part.name: len(EmbeddingTable.open(part)) for part in dataset.parts()}
    assert counts == {name: count for name, (count, _) in expected.items()}
    assert sorted(dataset.errors()["path"].to_pylist()) == [
        f"{name[5]}.wav" for name, (_, failed) in sorted(expected.items()) if failed
    ]
