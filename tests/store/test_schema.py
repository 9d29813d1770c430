"""The schema of a part: its columns, and what its metadata say."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.errors import StoreError
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.schema import ERROR_SCHEMA, row_schema
from tests.store.parts import PROVENANCE, table_of


def test_the_schema_says_what_made_it_and_what_its_features_are(tmp_path: Path) -> None:
    part = EmbeddingDataset(tmp_path).commit(
        "part-0.parquet", table_of(3), ERROR_SCHEMA.empty_table()
    )
    metadata = pq.read_schema(part).metadata
    assert json.loads(metadata[b"mmembed"])["fingerprint"] == "f" * 32
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features["embedding"] == {
        "feature": {"dtype": "float32", "_type": "Value"},
        "length": 4,
        "_type": "Sequence",
    }
    assert list(features) == pq.read_schema(part).names


def test_a_carried_column_may_not_take_a_name_of_the_contract() -> None:
    with pytest.raises(StoreError, match="column path of the source has the name of"):
        row_schema(PROVENANCE, {"path": pa.string()})
