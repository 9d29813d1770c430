"""Globs take the names that they say; what systems and programs leave beside media is known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError
from mmembed.media.file_names import NameFilter, PassedBy, is_system_or_sidecar
from mmembed.modality import Kind, kinds, register


@pytest.mark.parametrize(
    ("globs", "taken", "left"),
    [
        ("*.jpg", ["a.jpg", "deep/er/a.jpg", ".jpg"], ["a.JPG", "a.jpg.png", "jpg"]),
        ("*.jpg, *.png", ["a.jpg", "b.png"], ["c.gif"]),
        ("raw/*", ["raw/a.jpg"], ["raw/b/a.jpg", "x/raw/a.jpg", "raw"]),
        ("raw/**", ["raw/a.jpg", "raw/b/c/a.jpg"], ["x/raw/a.jpg"]),
        ("**/raw/*.png", ["raw/a.png", "x/y/raw/a.png"], ["raw/x/a.png", "draw/a.png"]),
        ("/a?.png/", ["ab.png"], ["a/.png", "x/ab.png", "abc.png"]),
        ("[ab]*.png", ["b1.png", "x/a.png"], ["c.png"]),
        ("[!ab].png", ["c.png"], ["a.png"]),
        ("a[1.png", ["a[1.png"], ["a1.png"]),
        ("a(1)+.png", ["a(1)+.png"], ["a1.png"]),
    ],
)
def test_globs_take_what_they_say(globs: str, taken: list[str], left: list[str]) -> None:
    names = NameFilter(include=globs)
    assert [path for path in taken + left if names.takes(path, is_folder=False)] == taken
    others = NameFilter(exclude=globs)
    assert [path for path in taken + left if others.takes(path, is_folder=False)] == left


def test_folders_are_walked_whatever_files_are_wanted_unless_they_are_excluded() -> None:
    names = NameFilter("*.jpg", "old, cache/**")
    assert names.takes("photos", is_folder=True)
    assert not names.takes("x/old", is_folder=True)
    assert not names.takes("cache/1", is_folder=True)
    assert not names.takes("x/old.png", is_folder=False)


@pytest.mark.parametrize("globs", ["", "a,,b", " ", "[z-a]"])
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_what_is_no_glob_is_refused_by_the_options_name(option: str, globs: str) -> None:
    with pytest.raises(ConfigError, match=option) as caught:
        NameFilter(**{option: globs})
    assert caught.value.option == option


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters=",/*?[]"), min_size=1).filter(str.strip))
def test_a_name_without_wild_cards_stands_for_itself(name: str) -> None:
    names = NameFilter(name)
    assert names.takes(name.strip(), is_folder=False)
    assert not names.takes(name.strip() + "x", is_folder=False)


@pytest.mark.parametrize(
    ("name", "is_folder", "expected"),
    [
        ("Thumbs.db", False, True),
        ("$RECYCLE.BIN", True, True),
        ("@eaDir", True, True),
        ("IMG_1.AAE", False, True),
        ("a.jpg.json", False, True),
        ("a.json", True, False),
        ("a.jpg", False, False),
        ("a.txt", False, False),
    ],
)
def test_what_systems_and_programs_leave_is_known(
    name: str, is_folder: bool, expected: bool
) -> None:
    assert is_system_or_sidecar(name, is_folder=is_folder) is expected


def test_a_modality_may_have_the_suffix_of_a_sidecar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmembed.modality._KINDS", dict(kinds()))
    register(Kind("points", frozenset({".json"})))
    assert not is_system_or_sidecar("cloud.json", is_folder=False)
    assert is_system_or_sidecar("cloud.xmp", is_folder=False)


def test_each_name_is_counted_once() -> None:
    passed = PassedBy(names=NameFilter(exclude="*.db"))
    for path in (".a.db", "x/Thumbs.db", "x/b.db", "x/c.png"):
        passed.passes(path, is_folder=False)
    assert (passed.hidden, passed.system, passed.unwanted) == (1, 1, 1)
