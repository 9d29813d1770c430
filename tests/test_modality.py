"""The table of modalities: own ones, those that packages add, and what can't be added."""

from __future__ import annotations

import pytest

from mmembed import modality
from mmembed.modality import Kind, extra_kinds, kind_named, kinds, modality_of_suffix, position

DEPTH = Kind("depth", frozenset({".depth"}), b"DPTH", display="picture")


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modality, "_KINDS", dict(modality._KINDS))


def test_every_suffix_stands_for_one_modality() -> None:
    suffixes = [suffix for kind in kinds().values() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert modality_of_suffix(".JPG") == "image"
    assert modality_of_suffix(".xyz") is None


def test_a_package_adds_a_modality_once() -> None:
    modality.register(DEPTH)
    modality.register(DEPTH)
    assert extra_kinds() == [DEPTH]
    assert modality_of_suffix(".depth") == "depth"
    assert kind_named("depth").display == "picture"
    assert list(kinds())[-1] == "depth"


def test_a_modality_takes_no_name_and_no_suffix_of_another() -> None:
    with pytest.raises(ValueError, match="another one of that name is there already"):
        modality.register(Kind("image", frozenset({".depth"})))
    with pytest.raises(ValueError, match=r"modality depth: files \.wav are audio already"):
        modality.register(Kind("depth", frozenset({".wav", ".x"})))
    assert extra_kinds() == []


def test_an_unknown_modality_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="smell is no modality; there are image, audio"):
        kind_named("smell")


def test_unknown_modalities_sort_behind_the_known_ones_by_name() -> None:
    assert sorted(["zoo", "text", "image", "art"], key=position) == ["image", "text", "art", "zoo"]
