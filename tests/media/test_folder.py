"""A folder is walked to its end in one order; what can't be seen is one file with a problem."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ManifestError
from mmembed.media.file_names import NameFilter
from mmembed.media.folder import is_folder, walk
from mmembed.media.source_file import (
    IRREGULAR,
    LINK_ABOVE,
    LINK_TO_NOTHING,
    NOT_THERE,
    File,
    printable,
    status,
)
from mmembed.paths import place
from tests.embedding.conftest import Blindness, blindness  # noqa: F401


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def paths(root: Path, skipped: Path | None = None) -> list[str]:
    return [file.path for file in walk(root, skipped)]


def test_files_come_by_name_in_each_folder_with_size_and_time(tmp_path: Path) -> None:
    make(tmp_path, "b.png", "a/z.wav", "a/deep/er/x", "c", "a.b/y")
    files = list(walk(tmp_path))
    assert [file.path for file in files] == ["a/deep/er/x", "a/z.wav", "a.b/y", "b.png", "c"]
    for file in files:
        info = os.stat(file.location)
        assert (file.size, file.mtime_ns) == (info.st_size, info.st_mtime_ns)
        assert (file.problem, file.unseen, file.modality, file.row) == ("", False, None, None)


names = st.text("ab.é0", min_size=1, max_size=3).filter(lambda name: not name.startswith("."))


@settings(max_examples=40, deadline=None)
@given(trees=st.sets(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=8))
def test_a_folder_on_disk_and_at_a_url_is_walked_alike(
    trees: set[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("walk")
    memory = fsspec.filesystem("memory")
    kept = []
    for parts in sorted(trees):
        above = ["/".join(parts[:i]) for i in range(1, len(parts))]
        if any(part in kept for part in above) or (root / "/".join(parts)).is_dir():
            continue
        kept.append("/".join(parts))
        make(root, kept[-1])
        memory.pipe(f"/walks/{root.name}/{kept[-1]}", kept[-1].encode())
    here = paths(root)
    assert sorted(here) == sorted(kept)
    if kept:
        there = list(walk(place(f"memory://walks/{root.name}")))
        assert [file.path for file in there] == here
        assert [file.size for file in there] == [len(name.encode()) for name in here]


def test_hidden_names_and_one_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.png", ".b.png", ".c/d.png", "out/part.parquet", "out2/e.png")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    tree = walk(tmp_path, tmp_path / "out")
    for _ in range(2):
        assert [file.path for file in tree] == ["a.png", "out2/e.png"]
        assert tree.passed_by.hidden == 2
    memory = fsspec.filesystem("memory")
    for name in ("a.png", ".b.png", "out/part.parquet"):
        memory.pipe(f"/hidden/{name}", b"x")
    remote = walk(place("memory://hidden"), place("memory://hidden/out"))
    assert [file.path for file in remote] == ["a.png"]
    assert remote.passed_by.hidden == 1


def test_system_files_sidecars_and_unwanted_names_are_passed_by_and_counted(
    tmp_path: Path,
) -> None:
    files = (
        *("a.png", "A.JSON", "a.png.xmp", "Thumbs.db", "notes.txt", "old/b.png", "old/raw/c.png"),
        *("old/raw/deep/d.png", "@eaDir/a.png/thumb.jpg", "$RECYCLE.BIN/x.png", ".dot.png"),
    )
    make(tmp_path, *files)
    memory = fsspec.filesystem("memory")
    for name in files:
        memory.pipe(f"/passed/{name}", b"x")
    for root in (tmp_path, place("memory://passed")):
        tree = walk(root)
        for _ in range(2):
            assert [file.path for file in tree] == [
                *("a.png", "notes.txt", "old/b.png", "old/raw/c.png", "old/raw/deep/d.png")
            ]
            counts = tree.passed_by
            assert (counts.hidden, counts.system, counts.unwanted) == (1, 5, 0)
        tree = walk(root, names=NameFilter("*.png", "old/raw, z*"))
        assert [file.path for file in tree] == ["a.png", "old/b.png"]
        assert (tree.passed_by.system, tree.passed_by.unwanted) == (5, 2)
        assert [file.path for file in walk(root, names=NameFilter("old/**/d.*"))] == [
            "old/raw/deep/d.png"
        ]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "a/x.png", "other/y.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a")
    (tmp_path / "a/beside").symlink_to(tmp_path / "other")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    problems = {file.path: file.problem for file in walk(tmp_path)}
    assert problems == {
        "a/x.png": "",
        "a/beside/y.png": "",
        "a/up": LINK_ABOVE,
        "a/self": LINK_ABOVE,
        "other/y.png": "",
        "gone.png": LINK_TO_NOTHING,
        "pipe.png": IRREGULAR,
    }


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_folder_that_can_not_be_listed_is_one_file_unseen(
    tmp_path: Path,
    blindness: Blindness,  # noqa: F811
    error: int,
) -> None:
    make(tmp_path, "a/x.png", "b/y.png", "c.png")
    blindness.hidden, blindness.error = {tmp_path / "a"}, error
    files = {file.path: file for file in walk(tmp_path)}
    assert set(files) == {"a", "b/y.png", "c.png"}
    assert files["a"].problem == f"can't be listed: {os.strerror(error)}"
    assert [path for path, file in files.items() if file.unseen] == ["a"]
    blindness.hidden = {tmp_path / "c.png"}
    files = {file.path: file for file in walk(tmp_path)}
    assert files["c.png"].problem == f"can't be looked at: {os.strerror(error)}"
    blindness.hidden = {tmp_path}
    with pytest.raises(ManifestError, match="can't be listed: ") as caught:
        list(walk(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_source_is_a_folder_a_manifest_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.csv")
    assert is_folder(tmp_path)
    assert not is_folder(tmp_path / "a.csv")
    with pytest.raises(ManifestError, match="nowhere: no such folder or manifest"):
        is_folder(tmp_path / "nowhere")

    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(ManifestError, match=r"a.csv: can't be looked at: Permission denied"):
        is_folder(tmp_path / "a.csv")


def test_a_name_of_any_bytes_is_walked_and_shown_as_text(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    try:
        with open(raw, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("names are UTF-8 here")
    make(tmp_path, r"\xff\xfe.png")  # a name that reads like the other one
    files = list(walk(tmp_path))
    assert {file.path for file in files} == {r"\xff\xfe.png", r"\x5cxff\x5cxfe.png"}
    assert all(os.stat(file.location).st_size == file.size for file in files)


@given(st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"")), st.binary(max_size=12))
def test_two_names_are_never_shown_alike(one: bytes, other: bytes) -> None:
    first, second = os.fsdecode(one), os.fsdecode(other)
    assert (printable(first) == printable(second)) == (first == second)
    printable(first).encode()


def test_asking_for_a_file_tells_its_state_or_why_not(tmp_path: Path) -> None:
    make(tmp_path, "a.png")
    good = status("a.png", str(tmp_path / "a.png"))
    assert (good.modality, good.row, good.size, good.problem) == (None, None, 5, "")
    assert status("n", str(tmp_path / "n")).problem == NOT_THERE
    assert status("n", str(tmp_path / "a.png/n")).problem == NOT_THERE
    assert status("n", "nul\0byte").problem.startswith("can't be a path: ")
    assert status("d", str(tmp_path)).problem == IRREGULAR


@given(st.text(max_size=5), st.none() | st.integers(0, 99), st.none() | st.integers(0, 99))
def test_what_tells_a_change_is_path_size_and_time_or_checksum(
    path: str, size: int | None, mtime: int | None
) -> None:
    file = File(path, "x", None, size, mtime)
    assert file.key == file._replace(location="y", row=7).key
    assert file.digest == file._replace(location="y", row=7).digest
    changes = [{"path": path + "x"}, {"field": "image"}, {"size": 100}, {"mtime_ns": 100}]
    others = [file._replace(**change) for change in changes]
    assert len({file.digest, *(other.digest for other in others)}) == 5
    summed = file._replace(checksum="abc")
    assert summed.state == "abc"
    assert summed.digest == summed._replace(mtime_ns=100).digest
