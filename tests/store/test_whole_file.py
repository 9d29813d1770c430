"""Files appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from mmembed.errors import StoreError
from mmembed.paths import RemotePath, place
from mmembed.store.whole_file import write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from mmembed.store.whole_file import write_whole

def write(path):
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

write_whole(Path(sys.argv[1]), write)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_another_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    write_whole(path, lambda given: given.write_text("first"))

    def second(given: Path) -> None:
        given.write_text("sec")
        assert path.read_text() == "first"
        assert given.parent == path.parent  # so that a rename is all it takes
        given.write_text("second")

    write_whole(path, second)
    assert path.read_text() == "second"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_stops_leaves_what_was_there(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("first")

    def stopped(given: Path) -> None:
        given.write_text("half")
        raise error

    with pytest.raises(error):
        write_whole(path, stopped)
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file.txt"]


def test_a_process_that_is_killed_leaves_what_was_there_and_the_next_writes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("first")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "first"
    assert names(tmp_path) == [".file.txt.partial", "file.txt"]
    write_whole(path, lambda given: given.write_text("second"))
    assert path.read_text() == "second"
    assert names(tmp_path) == ["file.txt"]


def test_a_writer_that_reads_what_it_writes_over_sees_the_old(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("1")
    write_whole(path, lambda given: given.write_text(str(int(path.read_text()) + 1)))
    assert path.read_text() == "2"


def test_a_place_that_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"file/a.txt: can't be written: (Not a dir|File exists)"):
        write_whole(tmp_path / "file/a.txt", lambda given: given.write_text("x"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder: can't be written: Is a directory"):
        write_whole(tmp_path / "folder", lambda given: given.write_text("x"))
    assert names(tmp_path) == ["file", "folder"]


def test_at_a_url_the_old_stays_until_the_new_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(f"memory://{uuid.uuid4().hex}/out/file.txt")
    assert isinstance(path, RemotePath)
    write_whole(path, lambda given: given.write_text("first"))

    def stopped(given: Path) -> None:
        given.write_text("half")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write_whole(path, stopped)
    assert path.read_text() == "first"
    write_whole(path, lambda given: given.write_text("second"))
    assert path.read_text() == "second"
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]

    class Away:
        def __getattr__(self, name: str) -> object:
            raise OSError("the server is away\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "filesystem", Away())
        with pytest.raises(StoreError, match="file.txt: can't be written: the server is away and"):
            write_whole(path, lambda given: given.write_text("third"))
    assert path.read_text() == "second"
