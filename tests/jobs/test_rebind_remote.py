"""Media that were moved to an object store, and a dataset that is there; a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmembed.embedding.embed import embed
from mmembed.jobs.rebind import Check, rebind
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.dataset_files import names_in
from mmembed.store.table import EmbeddingTable
from tests.embedding.test_remote import SERVER, Bucket, bucket, endpoint

__all__ = ["bucket", "endpoint"]
pytestmark = pytest.mark.skipif(SERVER is None, reason="there is no S3 server to start")


def test_a_copy_in_an_object_store_is_the_same_and_back_again(
    media: Path, out: Path, eyes: Path, bucket: Bucket
) -> None:
    bucket.upload(media, "media")
    url = bucket.url("media")
    vectors = EmbeddingTable.open(out).vectors.tobytes()
    summary = rebind(out, url)
    assert (summary.same, summary.by_old_source, summary.other_time) == (21, 21, 21)
    assert "secret" not in str(summary)
    assert "secret" not in (out / "_mmembed.json").read_text()
    again = embed(url, out, space=eyes, workers=0)
    assert (again.embedded, again.removed, again.kept) == (0, 0, 21)
    assert rebind(out, media, dry_run=True).by_old_source == 0  # no server is asked unless named
    back = rebind(out, media, Check(old_source=url))
    assert (back.same, back.by_old_source) == (21, 21)
    assert embed(media, out, space=eyes, workers=0).kept == 21
    assert EmbeddingTable.open(out).vectors.tobytes() == vectors


def test_a_dataset_in_an_object_store_is_bound_there(
    media: Path, out: Path, new: Path, eyes: Path, bucket: Bucket
) -> None:
    bucket.upload(out, "vectors")
    bucket.upload(media, "media")
    url = bucket.url("vectors")
    before = names_in(bucket.at("vectors"))
    assert rebind(url, bucket.url("media")).rewritten == 4
    assert names_in(bucket.at("vectors")) == before
    dataset = EmbeddingDataset.at(url)
    assert {footer.provenance.source for footer in dataset.footers()} == {str(bucket.at("media"))}
    assert embed(bucket.url("media"), url, space=eyes, workers=0).kept == 21
