"""Spans and boxes of a manifest in training: the values that ``embed`` makes of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image

from mmembed.data import samples as sample_module
from mmembed.data.manifest import Samples, read_samples
from mmembed.data.samples import MediaDataset, probe_files, report_bad_files
from mmembed.decoding.messages import DecodeRequest, RegionRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.errors import ManifestError, MediaError
from mmembed.media.regions import item_of, region_named
from mmembed.media.spans import Span
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.text import TextPreprocess

RATE = 4000
FIELDS = {"image": "image", "audio": "audio"}
PREPROCESS: dict[str, Preprocess] = {
    "image": ImagePreprocess(size=8),
    "audio": AudioPreprocess(
        sample_rate=RATE, segment_seconds=2, hop_seconds=2, min_seconds=0.2, bucket_seconds=0.5
    ),
}
ROWS: list[dict[str, Any]] = [
    {"audio": "long.wav", "start_s": 1.0, "end_s": 2.0},
    {"audio": "long.wav", "start_s": 4.0, "end_s": 5.5},
    {"image": "a.png", "box": [8, 0, 16, 16]},
    {"image": "a.png", "box": [0, 8, 24, 12]},
    {"image": "a.png"},
    {"image": "a.png", "audio": "long.wav", "start_s": 0.0, "end_s": 1.0, "box": [0, 0, 4, 4]},
]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Samples]:
    """Samples of rows about a sound of six seconds, each its own level, and a picture."""
    levels = np.repeat(np.arange(1, 7) / 10, RATE)
    soundfile.write(tmp_path / "long.wav", levels.astype(np.float32), RATE, subtype="FLOAT")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    def samples(rows: list[dict[str, Any]] = ROWS, fields: dict[str, str] = FIELDS) -> Samples:
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
        pq.write_table(pa.table(columns), tmp_path / "m.parquet")
        return read_samples(tmp_path / "m.parquet", fields)

    return samples


def dataset(samples: Samples, cache_mb: float = 0) -> MediaDataset:
    codes: dict[str, dict[str, int]] = {"label": {}, "group": {}}
    return MediaDataset(samples, PREPROCESS, probe_files(samples, PREPROCESS), codes, cache_mb)


def embedded(path: Path, field: str, region: str) -> np.ndarray:
    """The values that a decode worker makes of a region for ``embed``."""
    asked = (RegionRequest(0, region_named(region), "m.parquet, row 0"),)
    ((answer,),) = Decoder(PREPROCESS)([DecodeRequest(str(path), field, regions=asked)])
    assert isinstance(answer, Segments)
    (values,) = answer.values
    return values


@pytest.mark.parametrize("cache_mb", [0, 10])
def test_a_sample_has_the_values_that_embed_makes_of_its_region(
    make: Callable[..., Samples], tmp_path: Path, cache_mb: float
) -> None:
    data = dataset(make(), cache_mb)
    for _ in range(2):
        batch = data.__getitems__(range(6))
        assert not batch.failed
        assert batch.rows["audio"].tolist() == [0, 1, 5]
        assert batch.rows["image"].tolist() == [2, 3, 4, 5]
        for place, region in enumerate(["t=1,2", "t=4,5.5", "t=0,1"]):
            values = embedded(tmp_path / "long.wav", "audio", region)
            mask = batch.mask["audio"]
            assert mask is not None
            assert np.array_equal(batch.values["audio"][place][mask[place]].numpy(), values)
        for place, region in enumerate(["xywh=8,0,16,16", "xywh=0,8,24,12", None, "xywh=0,0,4,4"]):
            if region:
                values = embedded(tmp_path / "a.png", "image", region)
                assert np.array_equal(batch.values["image"][place].numpy(), values)
        level = batch.values["audio"][:, RATE // 2].tolist()
        assert level == pytest.approx([0.2, 0.5, 0.1], abs=1e-3), "the seconds that were asked for"


def test_values_are_cached_by_file_and_region(
    make: Callable[..., Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ROWS[2], ROWS[3], ROWS[2], ROWS[0], ROWS[1], ROWS[0]]
    data = dataset(make(rows), 10)
    loaded: list[Any] = []
    load = ImagePreprocess.load
    monkeypatch.setattr(
        ImagePreprocess, "load", lambda *a, **n: loaded.append(a[2]) or load(*a, **n)
    )
    batch = data.__getitems__(range(6))
    again = data.__getitems__(range(6))
    assert len(loaded) == 2
    pictures = batch.values["image"]
    assert torch.equal(pictures, again.values["image"])
    assert torch.equal(pictures[0], pictures[2])
    assert not torch.equal(pictures[0], pictures[1])


def test_a_long_span_has_a_segment_each_epoch_from_inside_it(make: Callable[..., Samples]) -> None:
    data = dataset(make([{"audio": "long.wav", "start_s": 1.0, "end_s": 5.0}]))
    epoch = torch.zeros((), dtype=torch.long)
    data.draw = (0, epoch)
    levels = set()
    for number in range(12):
        epoch.fill_(number)
        values = data.__getitems__([0]).values["audio"][0]
        levels.add((round(float(values[100]), 1), round(float(values[RATE + 100]), 1)))
    assert levels == {(0.2, 0.3), (0.4, 0.5)}
    assert data.lengths().tolist() == [2 * RATE]


def test_a_file_of_many_spans_is_probed_once(
    make: Callable[..., Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    probe = sample_module.probe
    monkeypatch.setattr(sample_module, "probe", lambda path: asked.append(path) or probe(path))
    rows = [{"audio": "long.wav", "start_s": i / 100, "end_s": 5.0} for i in range(300)]
    samples = make(rows)
    assert len(probe_files(samples, PREPROCESS)) == 300
    assert asked == [str(samples.root / "long.wav")]


WRONG = [
    (
        {"audio": "long.wav", "start_s": 5.0, "end_s": 2.0},
        "column end_s: 2 is not after start_s, 5",
    ),
    ({"audio": "long.wav", "start_s": 3.0}, "column end_s: is empty, but start_s is 3"),
    (
        {"audio": "long.wav", "start_s": 5.0, "end_s": 7.0},
        "column end_s: 7 is beyond the end, at 6.00 s",
    ),
    ({"image": "a.png", "start_s": 1.0, "end_s": 2.0}, "column start_s: a span is for sounds and"),
    (
        {"audio": "long.wav", "box": [0, 0, 1, 1]},
        "column box: a box is for pictures, and the row has",
    ),
    (
        {"image": "a.png", "box": [30, 0, 3, 3]},
        "column box: 30,0,3,3 reaches beyond the picture of",
    ),
    ({"image": "a.png", "box": [0, 0, 0, 3]}, "column box: 0,0,0,3 is empty"),
]


@pytest.mark.parametrize(("row", "message"), WRONG)
def test_a_wrong_region_is_a_bad_file_named_by_row_and_column(
    make: Callable[..., Samples], row: dict[str, Any], message: str
) -> None:
    samples = make([*ROWS, row])
    probed = probe_files(samples, PREPROCESS)
    (error,) = (each for each in probed.values() if isinstance(each, MediaError))
    assert "m.parquet" in str(error)
    assert "row 6, " in str(error)
    assert message in str(error)
    with pytest.warns(UserWarning, match="samples go without them"):
        report_bad_files(probed, samples.source, "skip")
    with pytest.raises(ManifestError, match="row 6"):
        report_bad_files(probed, samples.source, "raise")
    data = dataset(samples)
    assert data.counts == {"image": 4, "audio": 3}, "the others go on"
    assert not data.__getitems__([6]).values


def test_a_text_in_a_row_that_can_not_be_right_is_left_out(make: Callable[..., Samples]) -> None:
    rows = [{"text": "words", "start_s": 1.0, "end_s": 2.0}, {"text": "more words"}]
    samples = make(rows, {"text": "text"})
    assert samples.items("text") == [[], ["more words"]]
    preprocess = TextPreprocess(vocabulary=40, max_tokens=16)
    (error,) = probe_files(samples, {"text": preprocess}).values()
    assert "row 0, column start_s: a span is for sounds and videos" in str(error)


def test_splits_keep_the_regions_of_their_rows(make: Callable[..., Samples]) -> None:
    rows = [row | {"split": "train" if i % 2 else "val"} for i, row in enumerate(ROWS)]
    samples = make(rows)
    root = samples.root
    column = samples.split("train").column("audio").to_pylist()
    assert column == [
        item_of(str(root / "long.wav"), "t=4,5.5"),
        None,
        item_of(str(root / "long.wav"), "t=0,1"),
    ]
    data = MediaDataset(
        samples.split("val"),
        PREPROCESS,
        probe_files(samples, PREPROCESS),
        {"label": {}, "group": {}},
    )
    level = data.__getitems__([0]).values["audio"][0, RATE // 2]
    assert float(level) == pytest.approx(0.2, abs=1e-3)


def test_regions_of_a_file_are_one_thing_with_all_of_it_unless_a_group_says_otherwise(
    make: Callable[..., Samples],
) -> None:
    assert make().things() == ["long.wav"] * 2 + ["a.png"] * 4
    grouped = [row | {"group": f"g{i}" if i in (0, 3) else None} for i, row in enumerate(ROWS)]
    assert make(grouped).things() == ["g0", "long.wav", "a.png", "g3", "a.png", "a.png"]
    whole = [{"image": "a.png"}, {"image": "a.png"}]
    assert make(whole).things() == ["0", "1"], "without regions, each row is its own"


def test_a_hostile_path_is_no_region(tmp_path: Path) -> None:
    pq.write_table(pa.table({"audio": ["a\0t=x,2", "a\0b"]}), tmp_path / "m.parquet")
    probed = probe_files(read_samples(tmp_path / "m.parquet", FIELDS), PREPROCESS)
    assert all(isinstance(each, MediaError) for each in probed.values())
    assert Span(0, 1, 2) == region_named("t=1,2")
