r"""Paths of a manifest: slashes, backslashes and ``file://`` lead to the same files."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import ManifestError
from mmembed.paths import place
from mmembed.store.media_paths import MediaPaths

SOURCE = Path("/nowhere/m.csv")


def test_a_path_is_taken_as_it_stands() -> None:
    cells = ["a b/c.png", "/abs/ü.wav", "../x.mp4", None, "file.png", "file:x.png", "a%20b.png"]
    reader = MediaPaths(SOURCE)
    assert reader.read(cells, "image") == cells
    assert reader.notes == []


def test_backslashes_are_slashes(tmp_path: Path) -> None:
    reader = MediaPaths(tmp_path / "m.csv")
    cells = ["audio\\deep\\cat.wav", ".\\a.wav", "audio/cat.wav"]
    assert reader.read(cells, "audio") == ["audio/deep/cat.wav", "./a.wav", "audio/cat.wav"]
    assert reader.read(["b\\c.png"], "image") == ["b/c.png"]
    assert reader.notes == ["3 paths with backslashes, read as slashes"]


def test_a_file_that_has_a_backslash_in_its_name_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "a\\b.wav").write_bytes(b"")
    (tmp_path / "c\\d.wav").symlink_to(tmp_path / "gone")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.wav").write_bytes(b"")
    reader = MediaPaths(tmp_path / "m.csv")
    assert reader.read(["a\\b.wav", "c\\d.wav"], "audio") == ["a\\b.wav", "c\\d.wav"]
    assert reader.notes == []


def test_backslashes_at_a_url_are_slashes_unless_a_file_is_called_so(tmp_path: Path) -> None:
    folder = place(f"memory://{uuid.uuid4().hex}")
    folder.filesystem.create_dir(folder.inside, recursive=True)
    with folder.filesystem.open_output_stream((folder / "a\\b.wav").inside) as stream:
        stream.write(b"x")
    reader = MediaPaths(folder / "m.csv")
    assert reader.read(["a\\b.wav", "a\\c.wav"], "audio") == ["a\\b.wav", "a/c.wav"]
    assert reader.notes == ["1 path with backslashes, read as slashes"]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///data/my%20cat.wav", "/data/my cat.wav"),
        ("file://localhost/data/a.wav", "/data/a.wav"),
        ("FILE:/data/a.wav", "/data/a.wav"),
        ("file:///gr%C3%BC%C3%9Fe/ü.wav", "/grüße/ü.wav"),
        ("file:///100%25.png", "/100%.png"),
        ("file:///a#b?c.png", "/a#b?c.png"),
        ("file:///a%5Cb.png", "/a\\b.png"),
    ],
)
def test_an_address_of_a_file_is_its_path(address: str, path: str) -> None:
    reader = MediaPaths(SOURCE)
    assert reader.read([address], "image") == [path]
    assert reader.notes == ["1 path given by address (file://)"]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(names)
def test_the_address_of_any_path_leads_back_to_it(name: str) -> None:
    path = f"/{name}"
    assert MediaPaths(SOURCE).read([f"file://{quote(path)}"], "image") == [path]
    if os.name == "posix" and "//" not in path and not name.endswith(("/", ".")):
        uri = Path(path).as_uri()
        assert MediaPaths(SOURCE).read([uri], "image") == [str(Path(path))]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file://server/share/a.png", "is on another machine, server; write a path of this one"),
        ("file:///a%FF.png", "is not UTF-8 once its % are decoded"),
        ("file:///a%00.png", "has a null byte, which no path can have"),
    ],
)
def test_an_address_that_names_no_file_here_is_refused_with_its_row(
    address: str, said: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        MediaPaths(SOURCE).read(["a.png", address], "image")
    assert str(caught.value) == f"/nowhere/m.csv: column image, row 1: {address!r} {said}"


def test_a_manifest_at_a_url_names_no_file_of_one_machine() -> None:
    with pytest.raises(ManifestError, match="is a file of one machine, and the manifest is at a"):
        MediaPaths(place("memory://bucket/m.csv")).read(["file:///a.png"], "image")
