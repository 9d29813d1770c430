"""Real processes killed while they bind a dataset: all of it is bound to one source or another."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.errors import StoreError
from mmembed.jobs.compact import compact
from mmembed.jobs.rebind import rebind
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.table import EmbeddingTable
from tests.jobs.copied_media import plainly, rows, source

KILLED_AT = """
import os, signal, sys
import mmembed.store.replacement as replacement

left = int(sys.argv[1])

def counted(function):
    def call(*given):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*given)
    return call

replacement.write_whole = counted(replacement.write_whole)
replacement.move_over = counted(replacement.move_over)
from mmembed.jobs.rebind import rebind
rebind(sys.argv[2], sys.argv[3])
"""
WRITES, MOVES = 7, 6  # four parts, the errors of one, the card; and a note that they are whole
KILLS = 5


def kill_at(step: int, out: Path, new: Path) -> None:
    words = [sys.executable, "-c", KILLED_AT, str(step), str(out), str(new)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("step", range(WRITES + MOVES))
def test_wherever_it_is_killed_all_is_bound_to_one_source_and_the_next_run_goes_on(
    media: Path, out: Path, new: Path, eyes: Path, step: int
) -> None:
    plainly(media, new)
    before = rows(out)
    kill_at(step, out, new)
    assert rows(out) == before  # any reader sees each row once, whatever its source
    bound, other = (new, media) if step >= WRITES else (media, new)
    with pytest.raises(StoreError, match="holds the vectors of .*, not of"):
        embed(other, out, space=eyes, workers=0)
    again = embed(bound, out, space=eyes, workers=0)
    assert (again.embedded, again.failed, again.removed, again.kept) == (0, 0, 0, 21)
    assert source(out) == str(bound)
    assert rows(out) == before
    assert not list(out.rglob("*.new"))
    assert not list(out.rglob("*.partial"))
    assert rebind(out, new).same == 21
    assert (source(out), rows(out)) == (str(new), before)


def test_what_was_begun_is_finished_by_a_shard_a_compaction_and_another_rebinding(
    media: Path, out: Path, new: Path, eyes: Path, tmp_path: Path
) -> None:
    plainly(media, new)
    kill_at(WRITES + 2, out, new)
    others = [Path(shutil.copytree(out, tmp_path / f"other{i}")) for i in range(3)]
    with pytest.raises(StoreError, match="Any run that writes to it finishes that"):
        embed(new, out, space=eyes, workers=0, dry_run=True)
    with pytest.raises(StoreError, match="Any run that writes to it finishes that"):
        rebind(out, new, dry_run=True)
    assert len(EmbeddingTable.open(out)) == 20
    kept = [
        embed(new, others[0], space=eyes, workers=0, shard=f"{i}/2", dry_run=i == 2).kept
        for i in (1, 2)
    ]
    assert sum(kept) == 21
    compact(others[1])
    assert embed(new, others[1], space=eyes, workers=0).kept == 21
    assert rebind(others[2], media).rewritten == 4
    assert embed(media, others[2], space=eyes, workers=0).kept == 21


def test_killed_at_any_moment_it_is_bound_to_one_of_them(
    media: Path, new: Path, eyes: Path, tmp_path: Path
) -> None:
    out, rng, killed = tmp_path / "many", np.random.default_rng(0), 0
    embed(media, out, space=eyes, workers=0, chunk_files=1)
    plainly(media, new)
    before, places = rows(out), [media, new]
    for _ in range(10 * KILLS):
        words = [sys.executable, "-m", "mmembed", "rebind", str(out), str(places[1])]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and not list(out.glob(".*.new")):
            time.sleep(0.001)
        time.sleep(float(rng.random()) * 0.15)
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        assert rows(out) == before
        EmbeddingDataset(out).remove_leftovers()
        bound = json.loads((out / "_mmembed.json").read_text())["source"]
        assert source(out) == bound
        assert embed(bound, out, space=eyes, workers=0, dry_run=True).kept == 21
        if bound == str(places[1]):
            places.reverse()
        if killed == KILLS:
            break
    assert killed == KILLS
    assert main(["rebind", str(out), str(places[1])]) == 0
    assert rows(out) == before
