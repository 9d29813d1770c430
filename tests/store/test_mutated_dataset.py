"""A dataset that was changed or damaged gives the right numbers or one line, never a traceback."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.errors import MmembedError
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import read_items
from mmembed.jobs.compact import compact
from mmembed.store.table import EmbeddingTable, StoredRows, read_errors
from tests.evaluation.conftest import dataset, digits
from tests.store.mutated import ALL, PART, beside, column, raw, table
from tests.store.parts import failure, remove_leftovers

FLIPS = 300


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of three modalities, with an error."""
    rows, vectors = digits("test", 7, np.random.default_rng(0))
    folder = dataset(tmp_path_factory.mktemp("good") / "out", rows, vectors)
    (folder / "_errors").mkdir()
    pq.write_table(failure("bad.wav"), folder / "_errors" / PART)
    return folder


@pytest.fixture(scope="module")
def scores(good: Path) -> list[float]:
    return scores_of(good)


def scores_of(folder: Path) -> list[float]:
    return [direction.result.mean("mAP") for direction in evaluate(folder).directions]


def line(call: Callable[[], object]) -> str:
    """Return the one line that a call ends in; empty if it works."""
    try:
        call()
    except MmembedError as error:
        said = str(error)
        assert said.isprintable(), said
        return said
    return ""


def copied(good: Path, to: Path, change: Callable[[Path], object]) -> Path:
    shutil.copytree(good, to)
    change(to)
    return to


@pytest.mark.parametrize(("change", "said"), [m[1:] for m in ALL], ids=[m[0] for m in ALL])
def test_a_mutation_gives_the_right_numbers_or_one_line(
    change: Callable[[Path], object],
    said: str | None,
    good: Path,
    scores: list[float],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied(good, tmp_path / "out", change)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    numbers: list[float] = []
    message = line(lambda: numbers.extend(scores_of(folder)))
    if said is None:
        assert (message, numbers) == ("", scores)
    elif said:
        assert re.search(said, message)
        assert message.startswith(str(folder))
    code = main(["evaluate", str(folder)])
    err = capsys.readouterr().err
    assert (code, err) == ((2, f"mmembed: error: {message}\n") if message else (0, ""))
    opened = line(lambda: EmbeddingTable.open(folder))
    assert opened in ("", message)
    for pool in ("mean", "max", "moments"):
        line(lambda pool=pool: read_items(StoredRows(folder), pool))
    line(lambda: read_errors(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept

    merged = line(lambda: compact(folder))
    if merged and "_compaction" in merged:
        assert kept == {path: path.read_bytes() for path in kept}
    if not merged:
        assert line(lambda: EmbeddingTable.open(folder)) == opened
    assert main(["compact", str(folder)]) == (2 if merged else 0)
    assert capsys.readouterr().err.count("\n") == bool(merged)
    line(lambda: remove_leftovers(folder))


@pytest.mark.parametrize("seed", range(FLIPS // 50))
def test_bytes_that_flip_give_rows_or_one_line(good: Path, tmp_path: Path, seed: int) -> None:
    """Parquet as it is written here has no checksums: a number may change, the shape may not."""
    rng = np.random.default_rng(seed)
    whole = (good / PART).read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for number in range(50):
        spoiled = bytearray(whole)
        low, high = [(0, len(whole)), (0, footer), (footer, len(whole))][number % 3]
        for place in rng.integers(low, high, 1 + number % 4):
            spoiled[place] ^= 1 << rng.integers(8)
        folder = copied(good, tmp_path / f"{number}", raw(lambda _, b=bytes(spoiled): b))
        opened: list[EmbeddingTable] = []
        said = line(lambda f=folder, o=opened: o.append(EmbeddingTable.open(f)))
        for each in opened:
            assert each.vectors.shape == (len(each.rows), each.provenance.dim) == (21, 8)
        refused += bool(said)
        for call in (read_errors, compact, lambda f: read_items(StoredRows(f), "max")):
            line(lambda call=call, f=folder: call(f))
        if number % 10 == 0:
            line(lambda f=folder: evaluate(f))
    assert 5 < refused < 50


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (raw(lambda _: b"PAR1"), "can't be read"),
        (table(lambda rows: rows.drop_columns(["path"])), "has no column path"),
        (column("path", lambda v: v.cast("binary")), "column path holds binary, not text"),
        (column("size", lambda v: v.cast("string")), "column size holds string, not whole"),
    ],
    ids=["no Parquet", "no path", "bytes", "sizes as text"],
)
def test_errors_that_can_not_be_read_are_named(
    change: Callable[[Path], object], said: str, good: Path, tmp_path: Path
) -> None:
    folder = copied(good, tmp_path / "out", lambda folder: change(folder / "_errors"))
    message = line(lambda: read_errors(folder))
    assert message.startswith(str(folder / "_errors" / PART))
    assert said in message
    beside("part-1.parquet", (good / PART).read_bytes())(folder)
    assert line(lambda: compact(folder)) == message
