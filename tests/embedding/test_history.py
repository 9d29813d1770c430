"""Any history of a source: its rows are those of the files seen, and of those kept unseen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmembed.decoding.messages import DecodeFailure
from mmembed.embedding.engines.chunk import Chunk, FileRows, Segment
from mmembed.embedding.job import Job
from mmembed.embedding.plan.catalog import Catalog
from mmembed.embedding.plan.listing import list_source
from mmembed.embedding.plan.shard import Shard
from mmembed.embedding.progress import EmbedSummary
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import Provenance
from mmembed.store.schema import row_schema
from mmembed.store.table import read_errors
from tests.embedding.conftest import Blindness

FOLDERS = ("", "a", "a/b", "c")
NAMES = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in ("1", "2", "bad")]
STEPS = st.lists(
    st.tuples(st.just("write"), st.sampled_from(NAMES))
    | st.tuples(st.just("delete"), st.sampled_from(NAMES))
    | st.tuples(st.just("hide"), st.sampled_from([*FOLDERS[1:], *NAMES]))
    | st.tuples(st.just("show"), st.just(""))
    | st.tuples(st.sampled_from(["embed", "kill", "shards"]), st.just("")),
    max_size=30,
)


class Killed(BaseException):
    pass


class Reader:
    """An engine without a model: a file's number is its vector, and a bad file has none."""

    def __init__(self, root: Path, chunks: int | None) -> None:
        self.root, self.chunks = root, chunks

    def notes(self) -> list[str]:
        return []

    def run(self, chunks: Iterable[Chunk]) -> Generator[Chunk, None, None]:
        for count, chunk in enumerate(chunks):
            if count == self.chunks:
                raise Killed
            for number in list(chunk.undecoded):
                path = chunk.files[number].path
                value = float((self.root / path).read_text())
                vector = np.array([value], np.float32)
                rows = FileRows({0: Segment("image")}, {0: vector})
                bad = DecodeFailure("decode", "MediaError", f"is {value}")
                chunk.results[number] = bad if path.endswith("bad") else rows
            yield chunk


class History:
    """A source, its dataset, and what the dataset has to hold."""

    def __init__(self, folder: Path, blindness: Blindness) -> None:
        self.media, self.out, self.blindness = folder / "media", folder / "out", blindness
        self.expected: dict[str, float] = {}  # rows, and errors of decoding
        self.files: dict[str, float] = {}
        self.written = 0

    def write(self, name: str) -> None:
        self.written += 1
        path, number = self.media / name, self.written
        hidden, self.blindness.hidden = self.blindness.hidden, set()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(float(number)))
        os.utime(path, ns=(number, number))
        self.blindness.hidden = hidden
        self.files[name] = float(number)

    def delete(self, name: str) -> None:
        (self.media / name).unlink(missing_ok=True)
        self.files.pop(name, None)

    def hide(self, name: str) -> None:
        self.blindness.hidden.add(self.media / name)

    def show(self, _: str) -> None:
        self.blindness.hidden.clear()

    def embed(self, _: str, shard: Shard | None = None, chunks: int | None = None) -> EmbedSummary:
        provenance = Provenance("f" * 32, "reader", 1, str(self.media))
        listing = list_source(self.media, self.out)
        files = Catalog(listing, shard)
        job = Job(EmbeddingDataset(self.out), files, provenance, row_schema(provenance, {}), shard)
        return job.run(lambda: Reader(self.media, chunks), 2)

    def kill(self, _: str) -> None:
        with suppress(Killed):
            self.embed("", chunks=1)
        self.embed("")

    def shards(self, _: str) -> None:
        self.embed("")  # so that no part that has to be written again is of both
        for i in (1, 2):
            self.embed("", Shard(i, 2))

    def check(self, summary: EmbedSummary) -> None:
        hidden = self.blindness.hidden
        below = {
            path: old
            for path, old in self.expected.items()
            if any(folder in hidden for folder in (self.media / path).parents)
        }
        visible = {
            path: number
            for path, number in self.files.items()
            if not any(folder in hidden for folder in (self.media / path).parents)
        }
        seen = {path: n for path, n in visible.items() if self.media / path not in hidden}
        kept = below | {
            path: old for path, old in self.expected.items() if path in visible and path not in seen
        }
        self.expected = seen | kept
        table = pa.concat_tables([pq.read_table(p) for p in self.out.glob("part-*")])
        rows = {row["path"]: row["embedding"][0] for row in table.to_pylist()}
        errors = {row["path"]: row for row in read_errors(self.out).to_pylist()}
        assert len(rows) == len(table)
        assert len(errors) == len(read_errors(self.out))
        assert not set(rows) & set(errors)
        failed = {p: float(e["message"][3:]) for p, e in errors.items() if e["stage"] == "decode"}
        assert rows | failed == self.expected
        listed = {p for p, e in errors.items() if e["stage"] == "list"}
        assert summary.to_do == 0
        assert summary.unseen_kept == len(kept)
        assert len(rows) + len(errors) == summary.files + len(below)
        assert len(listed) == summary.files - len(self.expected) + len(below)
        assert {self.media / path for path in listed} <= hidden


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_rows_and_errors_are_those_of_what_was_seen_and_of_what_could_not_be(
    tmp_path: Path, blindness: Blindness, steps: list[tuple[str, str]]
) -> None:
    folder = tmp_path / "history"
    shutil.rmtree(folder, ignore_errors=True)
    blindness.hidden.clear()
    history = History(folder, blindness)
    for step, name in [("write", "top"), ("embed", ""), *steps, ("show", ""), ("embed", "")]:
        getattr(history, step)(name)
        if step in ("embed", "kill", "shards"):
            again = history.embed("")
            assert (again.embedded, again.failed, again.removed) == (0, 0, 0)
            history.check(again)
