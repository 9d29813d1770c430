"""A run writes, counts and shows what its engine yields, and ends the engine however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import numpy as np
import pytest

from mmembed.decoding.messages import DecodeFailure
from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar, FileRows, Segment
from mmembed.embedding.engines.part_writer import Committed, PartWriter
from mmembed.embedding.job import Job
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.listing import list_source
from mmembed.embedding.progress import ProgressDisplay
from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import row_schema
from mmembed.store.table import EmbeddingTable, read_errors

FILES = 10
Steps = Generator[DecodedSoFar | Chunk | Committed, None, None]


class Scripted:
    """An engine that does with the chunks as a function says, and notes that it was ended."""

    def __init__(self, steps: Callable[[Iterable[Chunk]], Steps]) -> None:
        self.steps, self.ended = steps, False

    def run(self, chunks: Iterable[Chunk]) -> Steps:
        try:
            yield from self.steps(chunks)
        finally:
            self.ended = True

    def notes(self) -> list[str]:
        return ["a note"]


def finish(chunk: Chunk) -> Chunk:
    for number, file in enumerate(chunk.files):
        if file.path == "3":
            chunk.results[number] = DecodeFailure(
                "probe", "MediaError", "is large", advice="max_pixels"
            )
        else:
            vector = np.array([float(file.path)], np.float32)
            chunk.results[number] = FileRows({0: Segment("image")}, {0: vector})
    return chunk


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "media").mkdir()
    for i in range(FILES):
        (tmp_path / f"media/{i}").write_text(str(i))
    listing = list_source(tmp_path / "media", tmp_path / "out")
    provenance = Provenance("f" * 32, "scripted", 1, str(tmp_path / "media"))
    return Job(
        EmbeddingDataset(tmp_path / "out"), Catalog(listing), provenance, row_schema(provenance, {})
    )


def test_chunks_are_written_whether_here_or_by_a_worker(job: Job) -> None:
    write = PartWriter(job.dataset, job.schema, 1)

    def steps(chunks: Iterable[Chunk]) -> Steps:
        for number, chunk in enumerate(chunks):
            finished = finish(chunk)
            yield write(finished) if number % 2 else finished
            yield DecodedSoFar(number)

    summary = job.run(lambda: Scripted(steps), 3)
    assert (summary.files, summary.embedded, summary.failed, summary.to_do) == (FILES, 9, 1, 0)
    assert summary.rows == {"image": 9}
    assert summary.reasons == {"probe: is large": 1}
    assert summary.advice == Counter(max_pixels=1)
    assert summary.notes == ["a note"]
    table = EmbeddingTable.open(job.dataset.folder)
    numbers = [float(path) for path in table.column("path")]
    assert sorted(numbers) == [n for n in range(FILES) if n != 3]
    assert np.array_equal(table.vectors[:, 0], numbers)
    (error,) = read_errors(job.dataset.folder).to_pylist()
    assert (error["path"], error["message"]) == ("3", "is large")


def test_a_chunk_is_safe_before_the_next_is_asked_for(job: Job) -> None:
    parts: list[int] = []

    def steps(chunks: Iterable[Chunk]) -> Steps:
        for chunk in chunks:
            yield finish(chunk)
            parts.append(len(list(Path(str(job.dataset.folder)).glob("part-*.parquet"))))

    job.run(lambda: Scripted(steps), 3)
    assert parts == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_engine_that_fails_leaves_what_is_committed(
    job: Job, kind: type[BaseException], capsys: pytest.CaptureFixture
) -> None:
    def steps(chunks: Iterable[Chunk]) -> Steps:
        for number, chunk in enumerate(chunks):
            if number == 2:
                raise kind
            yield finish(chunk)

    failing = Scripted(steps)
    with pytest.raises(kind):
        job.run(lambda: failing, 3)
    assert failing.ended
    said = capsys.readouterr().err
    assert ("interrupted: 6 of 10 files are safe in" in said) == (kind is KeyboardInterrupt)

    def rest(chunks: Iterable[Chunk]) -> Steps:
        yield from map(finish, chunks)

    again = job.run(lambda: Scripted(rest), 3)
    assert (again.kept, again.embedded, again.failed) == (6, 4, 0)


def test_an_engine_is_ended_where_a_part_can_t_be_written(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: PartWriter, chunk: Chunk) -> Committed:
        raise StoreError("out: can't be written: No space left on device")

    def steps(chunks: Iterable[Chunk]) -> Steps:
        yield from map(finish, chunks)

    monkeypatch.setattr(PartWriter, "__call__", full)
    engine = Scripted(steps)
    with pytest.raises(StoreError, match="No space left"):
        job.run(lambda: engine, 3)
    assert engine.ended


def test_an_engine_is_ended_where_ctrl_c_comes_while_a_count_is_shown(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: ProgressDisplay, so_far: DecodedSoFar) -> None:
        raise KeyboardInterrupt

    def steps(chunks: Iterable[Chunk]) -> Steps:
        yield DecodedSoFar(1)
        yield from map(finish, chunks)

    monkeypatch.setattr(ProgressDisplay, "update", interrupted)
    engine = Scripted(steps)
    with pytest.raises(KeyboardInterrupt):
        job.run(lambda: engine, 3)
    assert engine.ended


def test_no_engine_is_made_where_nothing_is_to_do(job: Job) -> None:
    def steps(chunks: Iterable[Chunk]) -> Steps:
        yield from map(finish, chunks)

    job.run(lambda: Scripted(steps), 3)
    assert job.run(lambda: pytest.fail("no engine is needed"), 3).to_do == 0  # type: ignore[arg-type]
    planned = job.plan()
    assert (planned.planned, planned.to_do, planned.kept_failed) == (True, 0, 1)
