"""Parts and card replaced at once: all of them or none, wherever it is interrupted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmembed.store.replacement
from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import names_in
from mmembed.store.lock import locked
from mmembed.store.replacement import Replacement, is_committed, settle
from mmembed.store.table import EmbeddingTable, read_errors
from tests.jobs.test_compact import write_parts
from tests.store.parts import PROVENANCE

MOVED = replace(PROVENANCE, source="/moved")
LABELS = {"old": {"0", "1", "2"}, "new": {"x"}}


@pytest.fixture
def dataset(tmp_path: Path) -> EmbeddingDataset:
    """Three parts of three rows, the first with errors."""
    write_parts(tmp_path / "out", 3, rows=3)
    dataset = EmbeddingDataset(tmp_path / "out")
    dataset.write_card(PROVENANCE)
    return dataset


def replace_all(dataset: EmbeddingDataset) -> None:
    with Replacement(dataset.folder) as replacement:
        fill(dataset, replacement)


def fill(dataset: EmbeddingDataset, replacement: Replacement) -> None:
    for part in dataset.parts():
        rows, errors = pq.read_table(part), dataset.errors_of(part.name)
        new = pa.array(["x"] * len(rows))
        rows = rows.set_column(rows.column_names.index("label"), "label", new)
        if errors is not None:
            message = errors.schema.get_field_index("message")
            field = errors.schema.field("message")
            errors = errors.set_column(message, field, pa.array(["x"] * len(errors)))
        replacement.write(part.name, rows, pa.table({}) if errors is None else errors)
    replacement.commit(MOVED)


def version(dataset: EmbeddingDataset) -> str:
    """Whether all is old or all is new; an error if it is neither."""
    labels = set(EmbeddingTable.open(dataset.folder).column("label"))
    messages = set(read_errors(dataset.folder)["message"].to_pylist())
    source = json.loads((dataset.folder / "_mmembed.json").read_text())["source"]
    seen = (labels, messages, source)
    versions = {
        "old": (LABELS["old"], {"no"}, PROVENANCE.source),
        "new": (LABELS["new"], {"x"}, "/moved"),
    }
    return next(name for name, expected in versions.items() if seen == expected)


def test_all_parts_errors_and_the_card_are_replaced_and_nothing_is_left(
    dataset: EmbeddingDataset,
) -> None:
    before = names_in(dataset.folder)
    assert version(dataset) == "old"
    replace_all(dataset)
    assert version(dataset) == "new"
    assert names_in(dataset.folder) == before
    assert names_in(dataset.folder / "_errors") == ["part-00.parquet"]
    assert dataset.provenance() == MOVED


@pytest.mark.parametrize("step", range(12))
def test_wherever_it_is_interrupted_all_is_old_or_all_is_new(
    dataset: EmbeddingDataset, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = step

    def counted(function):
        def call(*args: object) -> object:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return function(*args)

        return call

    for name in ("write_whole", "move_over"):
        whole = getattr(mmembed.store.replacement, name)
        monkeypatch.setattr(mmembed.store.replacement, name, counted(whole))
    with contextlib.suppress(KeyboardInterrupt):
        fill(dataset, Replacement(dataset.folder))  # as if it was killed: nothing tidies up
    monkeypatch.undo()
    ids = EmbeddingTable.open(dataset.folder).column("id")  # readers see every row once
    assert len(set(ids)) == len(ids) == 9
    committed = is_committed(dataset.folder)
    if committed:
        with pytest.raises(StoreError, match="was being bound to another source when that was"):
            dataset.provenance()
    dataset.remove_leftovers()
    assert version(dataset) == ("new" if step >= 6 else "old")  # 3 parts, errors, card, note
    assert committed == (6 <= step < 11)
    assert not list(dataset.folder.rglob("*.new"))
    assert not is_committed(dataset.folder)


def test_a_shard_finishes_it_too_unless_another_run_is_at_work(
    dataset: EmbeddingDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mmembed.store.replacement, "settle", lambda folder: None)
        replace_all(dataset)
    with (
        locked(dataset.folder, "1-of-2"),
        pytest.raises(StoreError, match="another run is writing"),
    ):
        dataset.settle()
    dataset.settle()
    assert version(dataset) == "new"
    before = names_in(dataset.folder)
    dataset.settle()  # nothing to do, and no lock taken
    assert names_in(dataset.folder) == before


@pytest.mark.parametrize("committed", [True, False])
def test_new_files_of_other_names_and_links_are_left_alone(
    dataset: EmbeddingDataset, tmp_path: Path, committed: bool
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    for name in (".letter.txt.new", ".new", "..new", ".part-x.txt.new", "part-x.parquet.new"):
        (dataset.folder / name).write_text("mine")
    if committed:
        (dataset.folder / "_replacement.json").write_text("{}")
    settle(dataset.folder)
    assert (dataset.folder / ".letter.txt.new").read_text() == "mine"
    assert not (dataset.folder / "letter.txt").exists()
    (dataset.folder / ".part-00.parquet.new").symlink_to(tmp_path / "letter.txt")
    if committed:
        (dataset.folder / "_replacement.json").write_text("{}")
        with pytest.raises(StoreError, match="is a link, not a regular file of the dataset"):
            settle(dataset.folder)
    else:
        settle(dataset.folder)
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert len(EmbeddingTable.open(dataset.folder)) == 9


def test_a_note_that_is_a_link_is_refused(dataset: EmbeddingDataset, tmp_path: Path) -> None:
    (dataset.folder / "_replacement.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="_replacement.json: is a link"):
        dataset.remove_leftovers()
    with pytest.raises(StoreError, match="_replacement.json: is a link"):
        dataset.provenance()


def test_a_folder_that_can_not_be_written_to_keeps_what_it_has(
    dataset: EmbeddingDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setattr(mmembed.store.whole_file.os, "replace", refuse)
    with pytest.raises(StoreError, match="can't be written: Permission denied"):
        replace_all(dataset)
    monkeypatch.undo()
    assert version(dataset) == "old"


@pytest.mark.parametrize("step", [0, 3, 5, 7, 10])
def test_what_goes_wrong_on_the_way_leaves_no_new_files_behind(
    dataset: EmbeddingDataset, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, left = names_in(dataset.folder), step

    def stopped(function):
        def call(*args: object) -> object:
            nonlocal left
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
            return function(*args)

        return call

    for name in ("write_whole", "move_over"):
        whole = getattr(mmembed.store.replacement, name)
        monkeypatch.setattr(mmembed.store.replacement, name, stopped(whole))
    with pytest.raises(KeyboardInterrupt):
        replace_all(dataset)
    monkeypatch.undo()
    assert version(dataset) == ("new" if step >= 6 else "old")
    assert names_in(dataset.folder) == before
