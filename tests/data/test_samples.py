"""Samples become batches; files that can't be read cost themselves and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image

from mmembed.data.manifest import Samples, read_samples
from mmembed.data.samples import MediaDataset, probe_files, report_bad_files
from mmembed.errors import ManifestError, MediaError
from mmembed.media.probe import MediaInfo
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess

RATE = 4000
PREPROCESS: dict[str, Preprocess] = {
    "image": ImagePreprocess(size=8),
    "audio": AudioPreprocess(
        sample_rate=RATE, segment_seconds=1, hop_seconds=1, min_seconds=0.2, bucket_seconds=0.25
    ),
}


@pytest.fixture
def samples(tmp_path: Path, rng: np.random.Generator) -> Samples:
    """Four samples: both, picture only, sound only (3 s, rising), and a broken picture."""
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    soundfile.write(tmp_path / "a.wav", np.full(RATE // 2, 0.5), RATE)
    levels = np.repeat([0.1, 0.2, 0.3], RATE)
    soundfile.write(tmp_path / "c.wav", levels, RATE)
    (tmp_path / "d.png").write_bytes(b"not a picture")
    columns = {
        "image": ["a.png", "b.png", None, "d.png"],
        "audio": ["a.wav", None, "c.wav", None],
        "label": ["x", "y", None, "x"],
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    return read_samples(tmp_path / "m.parquet")


def dataset(samples: Samples, cache_mb: float = 0) -> MediaDataset:
    codes = {"label": {"x": 0, "y": 1}, "group": {}}
    return MediaDataset(samples, PREPROCESS, probe_files(samples, PREPROCESS), codes, cache_mb)


def test_any_subset_of_modalities_makes_a_batch(samples: Samples) -> None:
    batch = dataset(samples).__getitems__([2, 0, 1])
    assert batch.values["image"].shape == (2, 3, 8, 8)
    assert batch.rows["image"].tolist() == [1, 2]
    assert batch.mask["image"] is None
    assert batch.values["audio"].shape == (2, RATE)
    assert batch.rows["audio"].tolist() == [0, 1]
    assert batch.mask["audio"] is not None
    assert batch.mask["audio"].sum(1).tolist() == [RATE, RATE // 2]
    assert batch.label.tolist() == [-1, 0, 1]
    assert batch.group.tolist() == [-1, -1, -1]
    assert batch.index.tolist() == [2, 0, 1]
    expected = np.asarray(Image.open(samples.root / "a.png")).transpose(2, 0, 1)
    assert np.array_equal(batch.values["image"][0].numpy(), expected)


def test_a_sample_alone_is_a_batch_of_one(samples: Samples) -> None:
    batch = dataset(samples)[1]
    assert len(batch) == 1
    assert set(batch.values) == {"image"}


def test_broken_files_are_known_before_they_are_decoded(samples: Samples) -> None:
    found = probe_files(samples, PREPROCESS)
    path = str(samples.root / "d.png")
    assert isinstance(found["image", path], MediaError)
    with pytest.warns(UserWarning, match="1 of 5 files can't be read; their samples go") as caught:
        report_bad_files(found, "m.parquet", "skip")
    assert path in str(caught[0].message)
    data = dataset(samples)
    assert data.counts == {"image": 2, "audio": 2}
    assert not data.__getitems__([3]).values


def test_broken_files_stop_a_run_that_asks_for_it(samples: Samples) -> None:
    found = probe_files(samples, PREPROCESS)
    with pytest.raises(ManifestError, match="1 of 5 files can't be read, the first: .*d.png"):
        report_bad_files(found, "m.parquet", "raise")


def test_nothing_readable_is_refused(samples: Samples) -> None:
    bad = {("image", "x.png"): MediaError("x.png", "probe", "is empty")}
    with pytest.raises(ManifestError, match="1 of 1 files can't be read, the first"):
        report_bad_files(bad, "m.parquet", "skip")


def test_many_broken_files_are_counted_and_some_named() -> None:
    found = {("image", f"{i}"): MediaError(f"{i}.png", "probe", "is empty") for i in range(9)}
    good = MediaInfo("image", "png", 1, 1, None, None, None, None, False)
    with pytest.warns(UserWarning, match="9 of 10 .*") as caught:
        report_bad_files({**found, ("image", "ok"): good}, "m.parquet", "skip")
    text = str(caught[0].message)
    assert "and 4 more" in text
    assert "4.png" in text
    assert "5.png" not in text


def test_a_file_of_another_kind_than_its_column_says_is_refused(samples: Samples) -> None:
    table = samples.table.set_column(1, "image", pa.array(["a.wav", None, None, None]))
    swapped = Samples(table, samples.root, samples.source)
    error = probe_files(swapped, PREPROCESS)["image", str(samples.root / "a.wav")]
    assert "is audio, but stands for image" in str(error)


def test_a_file_that_breaks_later_costs_only_itself(samples: Samples) -> None:
    data = dataset(samples)
    (samples.root / "a.png").write_bytes(b"gone bad")
    for _ in range(2):
        batch = data.__getitems__([0, 1])
        assert batch.rows["image"].tolist() == [1]
        assert batch.rows["audio"].tolist() == [0]
        assert list(batch.failed) == [str(samples.root / "a.png")]


def test_the_cache_spares_decoding_and_changes_nothing(samples: Samples) -> None:
    plain, cached = dataset(samples), dataset(samples, cache_mb=1)
    first = cached.__getitems__([0, 1])
    for name in ("a.png", "b.png", "a.wav"):
        (samples.root / name).unlink()
    again = cached.__getitems__([0, 1])
    assert not again.failed
    assert len(plain.__getitems__([0, 1]).failed) == 3
    for modality in ("image", "audio"):
        assert torch.equal(first.values[modality], again.values[modality])


def test_the_cache_is_bounded(samples: Samples) -> None:
    size = 3 * 8 * 8
    data = dataset(samples, cache_mb=1.5 * size / 2**20)
    data.__getitems__([0, 1])
    (samples.root / "a.png").unlink()
    (samples.root / "b.png").unlink()
    assert data.__getitems__([0, 1]).rows["image"].tolist() == [0]


def level(data: MediaDataset) -> float:
    return round(float(data.__getitems__([2]).values["audio"].mean()), 1)


def test_evaluation_takes_the_first_segment(samples: Samples) -> None:
    data = dataset(samples, cache_mb=1)
    assert {level(data) for _ in range(5)} == {0.1}


def test_training_draws_segments_by_seed_and_epoch(samples: Samples) -> None:
    data, epoch = dataset(samples, cache_mb=1), torch.zeros((), dtype=torch.long)
    data.draw = (0, epoch)
    drawn = []
    for number in [*range(12), *range(12)]:
        epoch.fill_(number)
        drawn.append(level(data))
    assert drawn[:12] == drawn[12:]
    assert set(drawn) == {0.1, 0.2, 0.3}


def test_lengths_are_those_of_padded_segments(samples: Samples) -> None:
    assert dataset(samples).lengths() == [RATE // 2, 0, RATE, 0]
