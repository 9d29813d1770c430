"""A file at a URL is read like one in memory, and each part of it is fetched once."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.media import remote_file
from mmembed.media.remote_file import RemoteFile

BLOCK = 64
DATA = bytes(i * 7 % 251 for i in range(10 * BLOCK + 11))


class Bucket:
    """A place that holds one file, and remembers what was fetched of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.opened = 0
        self.fetched: list[tuple[int, int]] = []
        self.closed = False

    def __str__(self) -> str:
        return "s3://bucket/file"

    def open(self) -> Any:
        self.opened += 1
        file, bucket = io.BytesIO(self.data), self

        class Opened:
            def size(self) -> int:
                return len(bucket.data)

            def seek(self, offset: int) -> None:
                file.seek(offset)

            def read(self, count: int) -> bytes:
                bucket.fetched.append((file.tell(), count))
                return file.read(count)

            def close(self) -> None:
                bucket.closed = True

        return Opened()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_file, "WHOLE_BYTES", 2 * BLOCK)
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(remote_file, "BLOCKS", 4)
    monkeypatch.setattr(remote_file, "READ_BYTES", 16)


def remote(bucket: Bucket) -> RemoteFile:
    return RemoteFile(bucket)  # type: ignore[arg-type]


def test_a_small_file_is_fetched_in_one_request() -> None:
    bucket = Bucket(DATA[: 2 * BLOCK])
    file = remote(bucket)
    assert (file.name, file.size_bytes) == ("s3://bucket/file", 2 * BLOCK)
    assert file.read_at(5, 20) == DATA[5:25]
    assert file.read_at(0) == file.file().read() == DATA[: 2 * BLOCK]
    assert bucket.fetched == [(0, 2 * BLOCK)]
    assert bucket.opened == 1


def test_of_a_large_file_only_what_is_read_is_fetched_and_that_once() -> None:
    bucket = Bucket(DATA)
    file = remote(bucket)
    for _ in range(3):
        assert file.read_at(BLOCK + 3, 10) == DATA[BLOCK + 3 : BLOCK + 13]
        assert file.read_at(len(DATA) - 5, 99) == DATA[-5:]
    assert bucket.fetched == [(BLOCK, BLOCK), (10 * BLOCK, BLOCK)]


def test_memory_of_a_large_file_stays_bounded() -> None:
    file = remote(Bucket(DATA))
    assert file.read_at(0) == DATA
    assert len(file._blocks) == 4


def test_an_empty_file_is_empty() -> None:
    file = remote(Bucket(b""))
    assert (file.read_at(0), file.read_at(3, 5), file.file().read()) == (b"", b"", b"")


def test_a_closed_file_is_closed_at_its_bucket() -> None:
    bucket = Bucket(DATA)
    remote(bucket).close()
    assert bucket.closed


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12 * BLOCK), st.integers(-1, 3 * BLOCK)), max_size=12))
def test_any_parts_in_any_order_are_those_of_the_file(parts: list[tuple[int, int]]) -> None:
    file = remote(Bucket(DATA))
    for offset, count in parts:
        stop = len(DATA) if count < 0 else offset + count
        assert file.read_at(offset, count) == DATA[offset:stop]


steps = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 200), st.just(0)),
    st.tuples(st.just("seek"), st.integers(-300, 800), st.sampled_from([0, 1, 2])),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=20))
def test_a_reader_moves_and_reads_like_a_file_in_memory(steps: list[tuple[str, int, int]]) -> None:
    reader, memory = remote(Bucket(DATA)).file(), io.BytesIO(DATA)
    for step, count, whence in steps:
        if step == "read":
            assert reader.read(count) == memory.read(count)
            continue
        base = {os.SEEK_SET: 0, os.SEEK_CUR: memory.tell(), os.SEEK_END: len(DATA)}[whence]
        goal = max(0, base + count)  # before the beginning is the beginning
        memory.seek(goal)
        assert reader.seek(max(0, count) if whence == os.SEEK_SET else count, whence) == goal
