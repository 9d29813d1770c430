"""Real processes killed, stopped and starved: afterwards every file is there once."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.embedding.embed import embed
from mmembed.store.table import EmbeddingTable, read_errors
from tests.conftest import default_signals
from tests.embedding.conftest import write_clip, write_picture, write_sound

KILLS = 20
CHUNK_FILES = 8


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,100 mixed files, some of them broken."""
    folder = tmp_path_factory.mktemp("crowd")
    for i in range(850):
        write_picture(folder / f"photos/{i % 7}/{i:04}.png", i, (20 + i % 9, 24))
    for i in range(200):
        write_sound(folder / f"sounds/{i:03}.wav", 0.2 + 0.02 * (i % 150), i)
    for i in range(20):
        write_clip(folder / f"clips/{i:02}.mp4", 0.5 + 0.2 * i, i)
    for i in range(30):
        (folder / f"photos/torn{i:02}.png").write_bytes(
            (folder / f"photos/0/{7 * i:04}.png").read_bytes()[: 100 + 10 * i]
        )
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    crowd: Path, tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    summary = embed(crowd, out, space=tiny_space_folder, workers=2)
    assert (summary.files, summary.failed) == (1100, 30)
    return out


def start(crowd: Path, out: Path, space: Path, **how: object) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "mmembed", "embed", str(crowd), str(out), "--space", str(space)]
    words += ["--chunk_files", str(CHUNK_FILES), "--workers", "2"]
    how = {"preexec_fn": default_signals, **how}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **how
    )


def wait_for_parts(process: subprocess.Popen[bytes], out: Path, count: int = 1) -> None:
    while process.poll() is None and len(list(out.glob("part-*.parquet"))) < count:
        time.sleep(0.002)


def alive(group: int) -> list[str]:
    """Command lines of the processes of a group."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                lines.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return lines


def ids_of(parts: list[Path]) -> list[str]:
    return [i for part in parts for i in pq.read_table(part, columns=["id"])["id"].to_pylist()]


def assert_same(out: Path, other: Path) -> None:
    first, second = EmbeddingTable.open(out), EmbeddingTable.open(other)
    order, others = np.argsort(first.column("id")), np.argsort(second.column("id"))
    assert list(first.column("id")[order]) == list(second.column("id")[others])
    assert np.abs(first.vectors[order] - second.vectors[others]).max() <= 1e-6
    errors = [sorted(read_errors(path)["path"].to_pylist()) for path in (out, other)]
    assert errors[0] == errors[1]


def test_killed_twenty_times_and_run_again_every_file_is_there_once(
    crowd: Path, undisturbed: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out, rng = tmp_path / "out", np.random.default_rng(0)
    killed = 0
    while killed < KILLS:
        parts_before = len(list(out.glob("part-*.parquet")))
        process = start(crowd, out, tiny_space_folder)
        # one time in three before anything is written, else shortly after a part
        wanted = parts_before + (0 if rng.random() < 1 / 3 else int(rng.integers(1, 3)))
        wait_for_parts(process, out, wanted)
        time.sleep(float(rng.random()) * 0.06)
        if process.poll() is not None:  # a fast machine was done: begin again
            assert process.wait() == 0, process.communicate()[1].decode()
            process.communicate()
            shutil.rmtree(out)
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        ids = ids_of(sorted(out.glob("part-*.parquet")))  # every part there is can be read
        assert len(ids) == len(set(ids))
    summary = embed(crowd, out, space=tiny_space_folder, workers=2)
    assert summary.to_do == 0
    assert_same(out, undisturbed)
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("all_processes", [True, False])
def test_a_stopped_run_says_what_is_safe_and_the_next_goes_on(
    crowd: Path,
    undisturbed: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    all_processes: bool,
) -> None:
    out = tmp_path / "out"
    process = start(crowd, out, tiny_space_folder)
    wait_for_parts(process, out)
    (os.killpg if all_processes else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said.decode()
    lines = said.decode().splitlines()
    assert "files are safe in" in lines[-2]
    assert lines[-1] == {130: "mmembed: stopped", 143: "mmembed: stopped by SIGTERM"}[code]
    assert "Traceback" not in said.decode()
    assert not list(out.rglob("*.partial"))
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(process.pid)  # no decode worker is left behind
    summary = embed(crowd, out, space=tiny_space_folder, workers=2)
    assert 0 < summary.kept < 1100
    assert_same(out, undisturbed)


def test_a_full_disk_is_one_line_and_costs_no_finished_work(
    crowd: Path, undisturbed: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    room = min(p.stat().st_size for p in undisturbed.glob("part-*.parquet")) // 8

    def fill() -> None:  # the kernel refuses to let any file grow beyond this
        default_signals()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    process = start(crowd, out, tiny_space_folder, preexec_fn=fill)
    _, said = process.communicate(timeout=120)
    lines = said.decode().strip().splitlines()
    assert process.returncode == 2, said.decode()
    assert lines[-1].startswith("mmembed: error: ")
    assert "can't be written" in lines[-1]
    assert "Traceback" not in said.decode()
    assert not list(out.rglob("*.partial"))
    embed(crowd, out, space=tiny_space_folder, workers=2)
    assert_same(out, undisturbed)


def test_a_second_run_at_the_same_time_is_refused_in_one_line(
    crowd: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = start(crowd, out, tiny_space_folder)
    wait_for_parts(first, out)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        second = start(crowd, out, tiny_space_folder)
        _, said = second.communicate(timeout=60)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert second.returncode == 2
    assert (
        said.decode()
        .strip()
        .endswith(f"{out}: another run is writing to it. Wait for it, or name another folder.")
    )


def test_shards_at_the_same_time_make_what_one_run_makes(
    crowd: Path, undisturbed: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "mmembed", "embed", str(crowd), str(out), "--space"]
    words += [str(tiny_space_folder), "--workers", "0", "--chunk-files", "50"]
    running = [
        subprocess.Popen([*words, "--shard", f"{i}/3"], stdout=subprocess.PIPE, text=True)
        for i in (1, 2, 3)
    ]
    counts = [
        int(process.communicate(timeout=200)[0].split(" files found")[0]) for process in running
    ]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum(counts) == 1100
    assert min(counts) > 300
    assert_same(out, undisturbed)
    again = embed(crowd, out, space=tiny_space_folder, workers=0)
    assert (again.kept, again.embedded, again.removed) == (1100, 0, 0)


def test_parts_written_at_once_are_readable_as_one_table(undisturbed: Path) -> None:
    schemas = [pq.read_schema(part) for part in undisturbed.glob("part-*.parquet")]
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    assert pa.concat_tables([pq.read_table(p) for p in undisturbed.glob("part-*")]).num_rows > 1100
