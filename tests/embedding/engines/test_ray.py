"""A Ray cluster of two nodes embeds as one machine does, whoever of it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmembed.embedding.embed import embed
from mmembed.embedding.engines.ray_worker import Task, Worker
from mmembed.embedding.progress import EmbedSummary
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.errors import ConfigError, MissingExtraError
from mmembed.store.dataset import EmbeddingDataset
from tests.conftest import default_signals
from tests.embedding.conftest import write_picture, write_sound
from tests.embedding.test_exactly_once import assert_same, ids_of, wait_for_parts

ray = pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    on_sigterm = signal.getsignal(signal.SIGTERM)  # each node puts its own in the place of it
    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes.add_node(**NODE)
    yield nodes
    ray.shutdown()
    nodes.shutdown()
    signal.signal(signal.SIGTERM, on_sigterm)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for i in range(400):
        write_picture(folder / f"photos/{i % 3}/{i:03}.png", i, (20 + i % 9, 24))
    for i in range(60):
        write_sound(folder / f"sounds/{i:02}.wav", 0.3 + 0.02 * i, i)
    for i in range(8):
        torn = (folder / f"photos/0/{3 * i:03}.png").read_bytes()[: 100 + 10 * i]
        (folder / f"photos/torn{i}.png").write_bytes(torn)
    return folder


@pytest.fixture(scope="module")
def by_one_machine(
    media: Path, tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("one") / "out"
    embed(media, out, space=tiny_space_folder, workers=0)
    return out


def actors() -> list[int]:
    """Process numbers of the actors that are at work on this machine."""
    seen = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"ray::Worker.embed" in (entry / "cmdline").read_bytes():
                seen.append(int(entry.name))
        except OSError:
            continue
    return seen


def test_the_rows_are_those_of_one_machine_and_finished_work_is_left_alone(
    cluster: Any, media: Path, by_one_machine: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"engine": "ray", "ray_address": cluster.address, "chunk_files": 50}
    summary = embed(media, tmp_path / "out", space=tiny_space_folder, **options)
    assert (summary.files, summary.embedded, summary.failed) == (468, 460, 8)
    assert summary.rows == {"image": 400, "audio": 60}
    assert_same(tmp_path / "out", by_one_machine)
    assert not ray.is_initialized()
    assert all(re.match(r"worker \d: threads of the model, ", note) for note in summary.notes)
    again = embed(media, tmp_path / "out", space=tiny_space_folder, **options)
    assert (again.kept, again.embedded, again.failed) == (468, 0, 0)


def test_killed_workers_and_a_lost_node_change_nothing(
    cluster: Any, media: Path, by_one_machine: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out, summaries = tmp_path / "out", []
    third = cluster.add_node(**NODE)

    def run() -> None:
        summary = embed(
            media,
            out,
            space=tiny_space_folder,
            engine="ray",
            ray_address=cluster.address,
            chunk_files=4,
            workers=1,
        )
        summaries.append(summary)

    running = threading.Thread(target=run)
    running.start()
    killed = 0
    for parts in (3, 25, 50):
        alive: list[int] = []
        while running.is_alive() and not alive:
            time.sleep(0.005)
            if len(list(out.glob("part-*.parquet"))) >= parts:
                alive = actors()
        if alive:
            os.kill(alive[0], signal.SIGKILL)
            killed += 1
    cluster.remove_node(third)
    running.join(timeout=200)
    assert not running.is_alive()
    assert killed == 3
    (summary,) = summaries
    assert isinstance(summary, EmbedSummary)
    assert (summary.embedded, summary.failed, summary.rows["image"]) == (460, 8, 400)
    assert_same(out, by_one_machine)


def test_killed_as_a_whole_and_run_again_every_file_is_there_once(
    cluster: Any, media: Path, by_one_machine: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "mmembed", "embed", str(media), str(out), "--engine", "ray"]
    words += ["--space", str(tiny_space_folder), "--ray-address", cluster.address]
    words += ["--chunk-files", "10"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True)
    wait_for_parts(process, out, 8)
    os.killpg(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    time.sleep(2)  # what an actor was writing then is whole, or not there
    assert 0 < len(ids_of(list(out.glob("part-*.parquet")))) < 460
    embed(media, out, space=tiny_space_folder, workers=0)
    assert_same(out, by_one_machine)


def test_sigterm_ends_a_run_with_143_and_says_what_is_safe(
    cluster: Any, media: Path, by_one_machine: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "mmembed", "embed", str(media), str(out), "--engine", "ray"]
    words += ["--space", str(tiny_space_folder), "--ray-address", cluster.address]
    process = subprocess.Popen(
        [*words, "--chunk-files", "10"], stderr=subprocess.PIPE, preexec_fn=default_signals
    )
    wait_for_parts(process, out, 8)
    process.terminate()
    lines = process.communicate(timeout=60)[1].decode().splitlines()
    assert process.returncode == 143, lines
    assert "files are safe in" in lines[-2]
    assert lines[-1] == "mmembed: stopped by SIGTERM"
    embed(media, out, space=tiny_space_folder, workers=0)
    assert_same(out, by_one_machine)


def test_a_machine_that_sees_other_files_refuses(tmp_path: Path, tiny_space_folder: Path) -> None:
    machine = Machine(workers=0)
    told = (RowOptions(), Limits(), machine, tmp_path / "gone", tmp_path, None)
    with pytest.raises(ConfigError, match=r"does not see .*gone\. Source and output have to be on"):
        Worker().load(Task({}, *told))
    told = (RowOptions(), Limits(), machine, tmp_path, tmp_path / "out", "another")
    with pytest.raises(ConfigError, match=r"does not see .*out\. Source and output"):
        Worker().load(Task({}, *told))
    with pytest.raises(ConfigError, match=r"has mmembed .*, not 0\.0\.0\. Install the same on all"):
        Worker().load(Task({}, *told, version="0.0.0"))
    assert EmbeddingDataset(tmp_path).card_text() is None


def test_mistakes_are_named(
    cluster: Any,
    media: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"engine": "ray", "ray_address": cluster.address}
    space = tiny_space_folder
    with pytest.raises(ConfigError, match="workers=9: no machine of the cluster has that many"):
        embed(media, tmp_path / "a", space=space, workers=9, **options)
    with pytest.raises(ConfigError, match="device=cuda:7"):
        embed(media, tmp_path / "b", space=space, device="cuda:7", **options)
    with pytest.raises(ConfigError, match="ray_address=127.0.0.1:1: nobody answers"):
        embed(media, tmp_path / "c", space=space, engine="ray", ray_address="127.0.0.1:1")
    with pytest.raises(ConfigError, match="actors=0: must be at least 1"):
        embed(media, tmp_path / "d", space=space, actors=0, **options)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"the engine ray needs an extra: .*mmembed\[ray\]"):
        embed(media, tmp_path / "e", space=space, **options)
