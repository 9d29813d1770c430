"""The engine of this machine yields each chunk when it is whole, and takes few ahead."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from mmembed.decoding.groups import GROUP_FILES
from mmembed.decoding.messages import DecodeFailure
from mmembed.decoding.queue import AHEAD_TASKS
from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar, FileRows
from mmembed.embedding.engines.local import LocalEngine, local_engine
from mmembed.embedding.plan.listing import Listing, list_source
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.errors import ConfigError, SpaceError
from mmembed.media.source_file import File
from mmembed.paths import place
from mmembed.space.space import Space

HERE = Machine(workers=0)
SOUND_SECONDS = 0.3 + 0.3 + 0.8 + 1.1 + 1.7 + 5.0  # of the library
CLIP_SECONDS = 0.5 + 1.0 + 4.5


@pytest.fixture
def listing(library: Path, tmp_path: Path) -> Listing:
    return list_source(place(library), place(tmp_path / "out"))


def chunk(files: list[File], listing: Listing) -> Chunk:
    return Chunk(files, listing.carried([file.row for file in files]))


def cut(listing: Listing, size: int) -> list[Chunk]:
    files = list(listing)
    return [chunk(files[i : i + size], listing) for i in range(0, len(files), size)]


def children() -> set[int]:
    """Processes that this one's fork server started, and that did not end."""
    below: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        for entry in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                waiting += (more := [int(word) for word in entry.read_text().split()])
                below |= {pid for pid in more if " Z " not in Path(f"/proc/{pid}/stat").read_text()}
            except OSError:
                continue
    return below


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_chunk_comes_out_once_with_a_result_for_each_file(
    tiny_space: Space, listing: Listing, size: int, workers: int
) -> None:
    chunks = cut(listing, size)
    engine = LocalEngine(tiny_space, machine=Machine(workers=workers))
    steps = list(engine.run(chunks))
    done = [step for step in steps if isinstance(step, Chunk)]
    assert sorted(map(id, done)) == sorted(map(id, chunks))
    counts = [step for step in steps if isinstance(step, DecodedSoFar)]
    listed = sum(bool(file.problem) for file in listing)
    files = [step.files for step in counts]
    assert files == sorted(files)
    assert {*files} - {0} == set(range(1, sum(len(c.files) for c in chunks) - listed + 1))
    seconds = [step.media_seconds for step in counts]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(SOUND_SECONDS + CLIP_SECONDS, abs=0.2)
    rows = Counter[str]()
    for each in done:
        rows.update(each.media_seconds())
    assert rows["audio"] == pytest.approx(SOUND_SECONDS)
    assert rows["video"] == pytest.approx(CLIP_SECONDS, abs=0.2)
    assert "image" not in rows
    for each in done:
        assert set(each.results) == set(range(len(each.files)))
        for number, result in each.results.items():
            if isinstance(result, FileRows):
                assert result.vectors.keys() == result.segments.keys()
                assert each.files[number].path.split("/")[0] in ("photos", "sounds", "clips")


def test_a_chunk_is_whole_when_it_comes_out_and_counted_by_then(
    tiny_space: Space, listing: Listing
) -> None:
    decoded = whole = 0
    for step in LocalEngine(tiny_space, machine=HERE).run(cut(listing, 3)):
        if isinstance(step, Chunk):
            assert not step.undecoded
            assert set(step.results) == set(range(len(step.files)))
            whole += sum(not file.problem for file in step.files)
            assert whole <= decoded
        else:
            decoded = step.files
    assert whole == decoded


@pytest.mark.parametrize("workers", [0, 1])
def test_chunks_are_taken_no_sooner_than_needed(
    tiny_space: Space, listing: Listing, workers: int
) -> None:
    files = [file for file in listing if file.path.startswith("photos/0")]
    taken = 0

    def endless() -> Iterator[Chunk]:
        nonlocal taken
        while True:
            taken += 1
            yield chunk(files, listing)

    engine = LocalEngine(tiny_space, machine=Machine(workers=workers))
    with closing(engine.run(endless())) as steps:
        done = 0
        while done < 5:
            done += isinstance(next(steps), Chunk)
        assert taken <= done + AHEAD_TASKS * GROUP_FILES // len(files) + 1
        if not workers:
            assert taken <= done + 2


def test_chunks_without_a_file_to_decode_come_out_one_by_one(
    tiny_space: Space, listing: Listing
) -> None:
    """They may be many, such as those of a folder that can't be read: none waits for others."""
    gone = [file._replace(problem="is gone") for file in listing]
    taken = 0

    def endless() -> Iterator[Chunk]:
        nonlocal taken
        while True:
            taken += 1
            yield chunk(gone, listing)

    with closing(LocalEngine(tiny_space, machine=HERE).run(endless())) as steps:
        for number in range(1, 20):
            step = next(steps)
            assert isinstance(step, Chunk)
            assert taken == number
            assert {r.stage for r in step.results.values() if isinstance(r, DecodeFailure)} == {
                "list"
            }


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_whoever_stops_midway_leaves_no_process_behind(tiny_space: Space, listing: Listing) -> None:
    engine = LocalEngine(tiny_space, machine=Machine(workers=2))
    list(engine.run(cut(listing, 4)))  # what stays for good, such as the fork server, is up now
    before = children()
    for kind in (KeyboardInterrupt, RuntimeError):
        with suppress(kind), closing(engine.run(cut(listing, 4))) as steps:
            next(step for step in steps if isinstance(step, Chunk))
            assert children() - before
            raise kind
        deadline = time.monotonic() + 30
        while children() - before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not children() - before
    again = cut(listing, 4)
    assert len([s for s in engine.run(again) if isinstance(s, Chunk)]) == len(again)


def test_kept_processes_serve_one_run_after_another(tiny_space: Space, listing: Listing) -> None:
    engine = LocalEngine(tiny_space, machine=Machine(workers=1))
    engine.keep()
    vectors = []
    for _ in range(3):
        (whole,) = cut(listing, 100)
        assert [s for s in engine.run([whole]) if isinstance(s, Chunk)] == [whole]
        rows = [r for _, r in sorted(whole.results.items()) if isinstance(r, FileRows)]
        vectors.append(np.stack([v for r in rows for _, v in sorted(r.vectors.items())]))
    assert np.abs(vectors[0] - vectors[1]).max() <= 1e-6
    assert np.abs(vectors[0] - vectors[2]).max() <= 1e-6


def test_nothing_to_do_yields_nothing(tiny_space: Space) -> None:
    assert list(LocalEngine(tiny_space, machine=HERE).run([])) == []


def test_a_saved_space_is_loaded_as_the_user_asks(tiny_space_folder: Path, tmp_path: Path) -> None:
    rows = RowOptions(segment="0.2s", hop="100ms")
    engine = local_engine(tiny_space_folder, rows, Limits(), HERE)
    sound, clip = (engine._preprocess[kind] for kind in ("audio", "video"))
    for each in (sound, clip):
        assert (each.segment_seconds, each.hop_seconds) == (0.2, 0.1)  # type: ignore[attr-defined]
        assert each.min_seconds == 0.2  # type: ignore[attr-defined]  # a span is never too short
    assert engine._preprocess["image"] == engine.space.preprocess["image"]
    with pytest.raises(SpaceError, match=re.escape(str(tmp_path))):
        local_engine(tmp_path, RowOptions(), Limits(), HERE)
    with pytest.raises(ConfigError, match="^device=cuda:99: "):
        local_engine(tiny_space_folder, RowOptions(), Limits(), Machine(device="cuda:99"))
    with pytest.raises(ConfigError, match="needs 0 < hop_seconds <= segment_seconds"):
        local_engine(tiny_space_folder, RowOptions(segment="1s", hop="2s"), Limits(), HERE)
