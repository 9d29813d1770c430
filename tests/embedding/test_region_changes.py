"""Regions that change, are mended, or are many: no other row is embedded again, none is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmembed.decoding import worker
from mmembed.embedding.engines.chunk import CHUNK_REGIONS, slices
from mmembed.embedding.plan import listing as listings
from mmembed.embedding.plan.listing import ManifestListing
from mmembed.jobs.compact import compact
from mmembed.media.source_file import File
from mmembed.store.manifest import read_manifest
from tests.embedding.region_media import errors_of, manifest, rows_of, span_rows, tones

Make = Callable[..., Any]


class Counter:
    """Spans that preprocesses were asked for, while a run embeds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        load = worker.region_values

        def counted(file: Any, request: Any, *rest: Any) -> Any:
            self.asked += [each.where for each in request.regions]
            return load(file, request, *rest)

        monkeypatch.setattr(worker, "region_values", counted)


def test_only_rows_whose_region_changed_are_embedded_again(
    run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones(tmp_path / "long.wav", 10)
    run(manifest(tmp_path, span_rows([(0, 1), (1, 2), (2, 3), (3, 9)])))
    before = {row["id"]: row for row in rows_of(tmp_path / "out")}
    counter = Counter(monkeypatch)
    source = manifest(tmp_path, span_rows([(3, 9), (1, 2.5), (0, 1)], label="new"))
    summary = run(source)
    assert counter.asked == ["m.parquet, row 1"]
    assert (summary.kept, summary.embedded, summary.removed) == (2, 1, 2)
    after = {row["id"]: row for row in rows_of(tmp_path / "out")}
    assert {row["region"] for row in after.values()} == {"t=3,9", "t=1,2.5", "t=0,1"}
    assert {row["label"] for row in after.values()} == {"new"}, "also of rows that stay"
    kept = after.keys() & before.keys()
    assert {after[id]["region"] for id in kept} == {"t=3,9", "t=0,1"}
    assert all(np.array_equal(after[id]["vector"], before[id]["vector"]) for id in kept)
    assert {row["sample_id"] for row in after.values()} == {"s0", "s1", "s2"}
    assert run(source).embedded == 0
    assert len(counter.asked) == 1


def test_a_fault_that_was_mended_is_embedded_and_one_that_stays_is_not_tried_again(
    run: Make, tmp_path: Path
) -> None:
    tones(tmp_path / "long.wav", 4)
    run(manifest(tmp_path, span_rows([(0, 1), (5, 6), (2, 1)])))
    assert set(errors_of(tmp_path / "out")) == {"t=5,6", "t=2,1"}
    summary = run(manifest(tmp_path, span_rows([(0, 1), (3, 4), (2, 1)])))
    assert (summary.kept, summary.kept_failed, summary.embedded) == (2, 1, 1)
    assert set(errors_of(tmp_path / "out")) == {"t=2,1"}
    tones(tmp_path / "long.wav", 7)
    summary = run(manifest(tmp_path, span_rows([(0, 1), (5, 6), (1, 2)])))
    assert (summary.kept, summary.embedded, summary.failed) == (0, 3, 0)
    assert not errors_of(tmp_path / "out")


def test_regions_of_a_dataset_that_was_whole_before_and_whole_again(
    run: Make, tmp_path: Path
) -> None:
    tones(tmp_path / "long.wav", 4)
    run(manifest(tmp_path, [{"audio": "long.wav", "id": "a"}]))
    whole = {row["id"] for row in rows_of(tmp_path / "out")}
    summary = run(manifest(tmp_path, [{"audio": "long.wav", "id": "a"}, *span_rows([(0, 1)])]))
    assert (summary.kept, summary.embedded, summary.removed) == (1, 1, 0)
    assert len(rows_of(tmp_path / "out")) == 3
    compact(tmp_path / "out")
    assert {row["region"] for row in rows_of(tmp_path / "out")} == {None, "t=0,1"}
    summary = run(manifest(tmp_path, [{"audio": "long.wav", "id": "a"}]))
    assert (summary.kept, summary.embedded, summary.removed) == (1, 0, 1)
    assert {row["id"] for row in rows_of(tmp_path / "out")} == whole


def test_shards_and_checksums_and_chunks_change_no_row(run: Make, tmp_path: Path) -> None:
    tones(tmp_path / "long.wav", 10)
    tones(tmp_path / "other.wav", 4, 2.0)
    rows = span_rows([(i / 2, i / 2 + 1) for i in range(18)])
    rows += [{"audio": "other.wav", "start_s": i, "end_s": i + 1, "id": f"o{i}"} for i in range(4)]
    source = manifest(tmp_path, rows)
    run(source)
    expected = {row["id"]: row["vector"] for row in rows_of(tmp_path / "out")}
    assert len(expected) == 22
    for name, passes in (
        ("shards", [{"shard": "1/2"}, {"shard": "2/2"}]),
        ("chunks", [{"chunk_files": 5, "workers": 2}]),
        ("sums", [{"checksum": True}]),
    ):
        for options in passes:
            run(source, out=tmp_path / name, **options)
        made = {row["id"]: row["vector"] for row in rows_of(tmp_path / name)}
        assert made.keys() == expected.keys()
        assert all(np.abs(made[id] - expected[id]).max() <= 1e-5 for id in made)
    assert run(source, out=tmp_path / "sums", checksum=True).embedded == 0
    for name in ("shards", "chunks"):
        parts = [
            set(pq.read_table(p)["path"].to_pylist()) for p in (tmp_path / name).glob("part-*")
        ]
        assert sorted(path for paths in parts for path in paths) == ["long.wav", "other.wav"]


def test_a_file_of_many_regions_is_looked_at_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its regions are in one slice, however large the file is, but for very many of them."""
    asked: list[str] = []
    status = listings.status
    monkeypatch.setattr(listings, "status", lambda *a: asked.append(a[0]) or status(*a))
    tones(tmp_path / "long.wav", 2)
    source = manifest(tmp_path, span_rows([(i / 1000, 1) for i in range(900)]))
    samples = read_manifest(source, {"audio": "audio"})
    files = list(ManifestListing(source, samples, {"audio": "audio"}))
    assert (len(files), asked) == (900, ["long.wav"])
    none = np.empty(0, np.uint64)
    large = [file._replace(size=1 << 40) for file in files]
    others = [File(f"z/{i}.wav", "", size=1) for i in range(5)]
    cuts = [len(cut) for cut in slices([*others, *large, *others], none, 100)]
    assert cuts == [905, 5]
    many = [file._replace(region=f"t={i},1") for i, file in enumerate(files * 20)]
    assert max(len(cut) for cut in slices(many, none, 100)) == CHUNK_REGIONS


def test_two_rows_of_one_region_are_one(run: Make, tmp_path: Path) -> None:
    tones(tmp_path / "long.wav", 4)
    (tmp_path / "m.csv").write_text(
        "audio,start_s,end_s,label\nlong.wav,1,2,a\nlong.wav,1.0,2.00,b\nlong.wav,0,2,c\n"
    )
    summary = run(tmp_path / "m.csv")
    assert (summary.files, summary.repeated) == (2, 1)
    assert {(r["region"], r["label"]) for r in rows_of(tmp_path / "out")} == {
        ("t=1,2", "a"),
        ("t=0,2", "c"),
    }


@pytest.mark.parametrize("kind", ["text", "category"])
def test_a_text_or_id_takes_no_region(tmp_path: Path, kind: str) -> None:
    source = manifest(tmp_path, [{kind: "word", "id": "w", "start_s": 1.0, "end_s": 2.0}])
    (item,) = ManifestListing(source, read_manifest(source, {kind: kind}), {kind: kind})
    assert item.cell == "id:w#0"
    assert item.fault.startswith(
        "m.parquet, row 0, column start_s: a span is for sounds and videos"
    )
