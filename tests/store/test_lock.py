"""The lock: one run writes to a dataset at a time, or one a shard, and it ends with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmembed.errors import StoreError
from mmembed.paths import place
from mmembed.store.lock import locked

HOLDING = """
import sys
from pathlib import Path
from mmembed.store.lock import locked

with locked(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""
BUSY = "another run is writing to it. Wait for it, or name another folder"


@pytest.mark.parametrize(
    ("held", "asked", "free"),
    [
        ("", "", False),
        ("", "1-of-2", False),
        ("1-of-2", "", False),
        ("1-of-2", "1-of-2", False),
        ("1-of-2", "2-of-2", True),
        ("1-of-2", "1-of-3", True),
    ],
)
def test_all_of_it_keeps_shares_out_and_shares_keep_out_themselves(
    held: str, asked: str, free: bool, tmp_path: Path
) -> None:
    with locked(tmp_path, held):
        if free:
            with locked(tmp_path, asked):
                pass
        else:
            with pytest.raises(StoreError, match=BUSY), locked(tmp_path, asked):
                pass
    with locked(tmp_path, asked):
        pass


def test_a_run_that_is_refused_leaves_the_lock_to_who_has_it(tmp_path: Path) -> None:
    with locked(tmp_path, "1-of-2"):
        for _ in range(2):
            with pytest.raises(StoreError, match=BUSY), locked(tmp_path):
                pass
        with locked(tmp_path, "2-of-2"):
            pass


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path), ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=BUSY), locked(tmp_path):
            pass
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with locked(tmp_path):
        pass


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), locked(tmp_path):
        raise RuntimeError("inside")
    with locked(tmp_path):
        pass


def test_at_a_url_there_is_no_lock(tmp_path: Path) -> None:
    where = place("memory://nowhere/out")
    with locked(where), locked(where):
        pass
    assert not where.exists()


def test_a_folder_that_is_not_there_can_not_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file: can't be written to: "), locked(tmp_path / "file"):
        pass
