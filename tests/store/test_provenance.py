"""Provenance: it says what made rows, or is refused; what was not recorded is not invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.provenance import DecodeRevisions, Provenance, check_same_space
from mmembed.store.schema import row_schema, stored_provenance, with_libraries
from mmembed.store.table import EmbeddingTable
from tests.store.parts import NO_ERRORS, PROVENANCE, table_of

TEXTS = st.text(max_size=8)
SETTINGS = st.dictionaries(TEXTS, st.none() | st.integers() | st.booleans() | TEXTS)
RECORDED = {"decode_revision": {"image": 1}, "libraries": {"Pillow": "11.0"}}


@given(
    TEXTS,
    TEXTS,
    st.integers(1, 1 << 20),
    st.none() | SETTINGS,
    st.none() | st.dictionaries(TEXTS, st.integers(1, 9)),
    st.none() | st.dictionaries(TEXTS, TEXTS),
)
def test_it_comes_back_from_json_as_it_was(
    space: str, source: str, dim: int, settings: Any, revision: Any, libraries: Any
) -> None:
    made = Provenance("f", space, dim, source, settings, 1, revision, libraries)
    assert Provenance.from_json(made.to_json(), "x") == made
    assert Provenance.from_json(made.to_json().encode(), "x") == made


def test_what_was_not_recorded_is_not_written() -> None:
    """So that a card or part from before says the same after it was written again."""
    assert set(json.loads(PROVENANCE.to_json())) == {
        "fingerprint",
        "space",
        "dim",
        "source",
        "settings",
        "format",
    }
    assert PROVENANCE.revision_of("image") == PROVENANCE.revision_of("anything") == 1
    made = Provenance("f", "s", 1, decode_revision={"image": 3})
    assert (made.revision_of("image"), made.revision_of("audio")) == (3, 1)


def test_fields_of_later_versions_are_passed_over() -> None:
    text = json.dumps(json.loads(PROVENANCE.to_json()) | {"colour": "green"})
    assert Provenance.from_json(text, "x") == PROVENANCE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("decode_revision", [1]),
        ("decode_revision", 1),
        ("decode_revision", {"image": "1"}),
        ("decode_revision", {"image": True}),
        ("decode_revision", {"image": 1.5}),
        ("decode_revision", {"image": None}),
        ("libraries", "Pillow"),
        ("libraries", ["Pillow"]),
        ("libraries", {"Pillow": 11}),
        ("libraries", {"Pillow": None}),
        ("settings", [1]),
        ("dim", 0),
        ("dim", True),
        ("source", None),
    ],
)
def test_a_field_of_another_kind_is_named(field: str, value: object, tmp_path: Path) -> None:
    fields = json.loads(PROVENANCE.to_json()) | RECORDED | {field: value}
    with pytest.raises(StoreError, match=f"here: its mmembed metadata have .* as {field}$"):
        Provenance.from_json(json.dumps(fields), "here")
    dataset = EmbeddingDataset(tmp_path)
    rows = table_of(3)
    metadata = {**rows.schema.metadata, b"mmembed": json.dumps(fields).encode()}
    part = dataset.commit("part-a.parquet", rows.replace_schema_metadata(metadata), NO_ERRORS)
    with pytest.raises(StoreError, match=rf"{part.name}: its mmembed metadata have .* as {field}"):
        EmbeddingTable.open(tmp_path)


def test_spaces_and_dimensions_are_not_mixed() -> None:
    first = Provenance("a" * 32, "one", 4)
    check_same_space(first, "x", Provenance("a" * 32, "renamed", 4, "elsewhere"), "y")
    with pytest.raises(StoreError, match=r"y: made by space two \(bbbbbbbb\), but x by space one"):
        check_same_space(first, "x", Provenance("b" * 32, "two", 4), "y")
    with pytest.raises(StoreError, match="y: has vectors of 5, but x of 4"):
        check_same_space(first, "x", Provenance("a" * 32, "one", 5), "y")


@given(st.lists(st.tuples(st.sampled_from(["image", "audio"]), st.integers(1, 2)), max_size=5))
def test_one_revision_a_modality_goes_together_and_two_do_not(parts: list) -> None:
    revisions = DecodeRevisions()
    seen: dict[str, int] = {}
    for number, (kind, revision) in enumerate(parts):
        made = Provenance("f", "s", 1, decode_revision={kind: revision})
        if seen.setdefault(kind, revision) == revision:
            revisions.check(made, [kind], f"part-{number}")
        else:
            with pytest.raises(StoreError, match=f"part-{number}: its {kind} rows were decoded by"):
                revisions.check(made, [kind], f"part-{number}")
            break


def test_a_table_of_two_revisions_is_refused_and_says_the_way_out(tmp_path: Path) -> None:
    dataset = EmbeddingDataset(tmp_path)
    for number, revision in enumerate([None, {"audio": 1, "image": 5}, {"audio": 2}]):
        made = Provenance("f" * 32, "tiny", 4, "media", decode_revision=revision)
        metadata = {b"mmembed": made.to_json().encode()}
        rows = table_of(3).replace_schema_metadata(metadata)
        if number == 2:
            assert len(EmbeddingTable.open(tmp_path)) == 6  # no row is a picture
        dataset.commit(f"part-{number}.parquet", rows, NO_ERRORS)
    said = r"part-2.parquet: its audio rows were decoded by revision 2, but those of .*part-0.*by 1"
    with pytest.raises(StoreError, match=said + r".*Finish the upgrade"):
        EmbeddingTable.open(tmp_path)
    assert len(EmbeddingTable.open(tmp_path / "part-2.parquet")) == 3


def test_versions_of_libraries_are_put_into_a_schema_and_nothing_else_changes() -> None:
    schema = row_schema(PROVENANCE, {})
    versions = {"Pillow": "11.0", "libavcodec": "61.3.100"}
    named = with_libraries(schema, versions)
    assert named.equals(schema)
    made = stored_provenance(named, "x")
    assert made is not None
    assert made.libraries == versions
    assert with_libraries(named, None).equals(schema, check_metadata=True)
    bare = schema.remove_metadata()
    assert stored_provenance(bare, "x") is None
    assert with_libraries(bare, versions).metadata is None
