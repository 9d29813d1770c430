"""Samples become batches; files that can't be read cost themselves and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
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
from mmembed.media.probe import MediaInfo, probe
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess

RATE = 4000
FIELDS = {kind: kind for kind in ("image", "audio", "video")}
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
    return read_samples(tmp_path / "m.parquet", FIELDS)


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
    probed = probe_files(samples, PREPROCESS)
    path = str(samples.root / "d.png")
    assert isinstance(probed["image", path], MediaError)
    with pytest.warns(UserWarning, match="1 of 5 files can't be read; their samples go") as caught:
        report_bad_files(probed, "m.parquet", "skip")
    assert path in str(caught[0].message)
    data = dataset(samples)
    assert data.counts == {"image": 2, "audio": 2}
    assert not data.__getitems__([3]).values


def test_broken_files_stop_a_run_that_asks_for_it(samples: Samples) -> None:
    probed = probe_files(samples, PREPROCESS)
    with pytest.raises(ManifestError, match="1 of 5 files can't be read, the first: .*d.png"):
        report_bad_files(probed, "m.parquet", "raise")


def test_nothing_readable_is_refused(samples: Samples) -> None:
    bad = {("image", "x.png"): MediaError("x.png", "probe", "is empty")}
    with pytest.raises(ManifestError, match="1 of 1 files can't be read, the first"):
        report_bad_files(bad, "m.parquet", "skip")


def test_many_broken_files_are_counted_and_some_named() -> None:
    broken = {("image", f"{i}"): MediaError(f"{i}.png", "probe", "is empty") for i in range(9)}
    good = MediaInfo("image", "png", 1, 1, None, None, None, None, False)
    with pytest.warns(UserWarning, match="9 of 10 .*") as caught:
        report_bad_files({**broken, ("image", "ok"): good}, "m.parquet", "skip")
    text = str(caught[0].message)
    assert "and 4 more" in text
    assert "4.png" in text
    assert "5.png" not in text


def test_a_file_of_another_kind_than_its_column_says_is_refused(samples: Samples) -> None:
    table = samples.table.set_column(1, "image", pa.array(["a.wav", None, None, None]))
    swapped = replace(samples, table=table)
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
    assert dataset(samples).lengths().tolist() == [RATE // 2, 0, RATE, 0]


def test_a_file_of_two_samples_is_probed_once(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = samples.table.set_column(1, "image", pa.array(["a.png", "a.png", "b.png", "a.png"]))
    shared = replace(samples, table=table)
    asked: list[str] = []

    def counted(path: str) -> MediaInfo:
        asked.append(path)
        return probe(path)

    monkeypatch.setattr("mmembed.data.samples.probe", counted)
    probed = probe_files(shared, {"image": PREPROCESS["image"]})
    assert sorted(asked) == sorted({str(samples.root / n) for n in ("a.png", "b.png")})
    assert set(probed) == {("image", path) for path in asked}


def test_a_file_of_two_fields_of_a_kind_is_probed_once(samples: Samples) -> None:
    columns = {"front": "image", "back": "image"}
    both = replace(samples, columns=columns)
    sides: dict[str, Preprocess] = {"front": ImagePreprocess(8), "back": ImagePreprocess(4)}
    probed = probe_files(both, sides)
    assert len(probed) == 3
    data = MediaDataset(both, sides, probed, {"label": {}, "group": {}})
    batch = data.__getitems__([0, 1, 3])
    shapes = {field: tuple(values.shape) for field, values in batch.values.items()}
    assert shapes == {"front": (2, 3, 8, 8), "back": (2, 3, 4, 4)}
    assert data.counts == {"front": 2, "back": 2}


def test_probing_many_files_is_announced(
    samples: Samples, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    probe_files(samples, PREPROCESS)
    assert not capsys.readouterr().err
    monkeypatch.setattr("mmembed.data.samples.ANNOUNCED_FILES", 4)
    probe_files(samples, PREPROCESS)
    assert capsys.readouterr().err == "probing 5 files\n"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of video, 8 frames that get lighter, with a tone."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=8)
        picture.width = picture.height = 32
        picture.pix_fmt = "yuv420p"
        track = container.add_stream("aac", rate=16000, layout="mono")
        for i in range(8):
            pixels = np.full((32, 32, 3), 30 * i, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode(None))
        tone = (8000 * np.sin(np.arange(16000) * 0.2)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def clip_samples(clip: Path, columns: dict[str, list[str | None]]) -> Samples:
    path = clip.with_name("clips.parquet")
    pq.write_table(pa.table({n: pa.array(v, pa.string()) for n, v in columns.items()}), path)
    return read_samples(path, FIELDS)


def test_the_sound_track_of_a_video_stands_for_a_sound(clip: Path) -> None:
    both = clip_samples(clip, {"audio": ["clip.mp4"], "image": [None]})
    batch = dataset(both).__getitems__([0])
    assert set(batch.values) == {"audio"}
    assert batch.values["audio"].abs().max() > 0.1


def test_a_video_stands_for_no_picture(clip: Path) -> None:
    samples = clip_samples(clip, {"image": ["clip.mp4"]})
    (error,) = probe_files(samples, PREPROCESS).values()
    assert "is video, but stands for image" in str(error)


def test_clips_are_padded_frames_with_their_mask(clip: Path) -> None:
    samples = clip_samples(clip, {"video": ["clip.mp4", "clip.mp4"]})
    frames: dict[str, Preprocess] = {"video": VideoPreprocess(ImagePreprocess(16), 4)}
    codes = {"label": {}, "group": {}}
    data = MediaDataset(samples, frames, probe_files(samples, frames), codes, 0)
    batch = data.__getitems__([0, 1])
    assert batch.values["video"].shape == (2, 4, 3, 16, 16)
    assert batch.mask["video"] is not None
    assert batch.mask["video"].shape == (2, 4)
    assert batch.mask["video"].all()
    light = batch.values["video"].float().mean((2, 3, 4))
    assert (light.diff(dim=1) > 0).all()
    assert torch.equal(light[0], light[1])


def test_samples_of_no_sound_are_all_of_one_length(samples: Samples) -> None:
    pictures = {"image": PREPROCESS["image"]}
    codes = {"label": {}, "group": {}}
    data = MediaDataset(samples, pictures, probe_files(samples, pictures), codes, 0)
    assert data.lengths().tolist() == [0, 0, 0, 0]
    assert data.counts == {"image": 2}


def test_values_without_a_code_are_unknown(samples: Samples) -> None:
    codes = {"label": {"y": 0}, "group": {}}
    data = MediaDataset(samples, PREPROCESS, probe_files(samples, PREPROCESS), codes, 0)
    assert data.codes["label"].tolist() == [-1, 0, -1, -1]


def test_a_batch_is_padded_to_the_bucket_of_its_own_longest_item(samples: Samples) -> None:
    data = dataset(samples)
    alone = data.__getitems__([0])
    with_longer = data.__getitems__([0, 2])
    assert alone.values["audio"].shape == (1, RATE // 2)
    assert with_longer.values["audio"].shape == (2, RATE)
    assert torch.equal(alone.values["audio"][0], with_longer.values["audio"][0, : RATE // 2])
    assert not with_longer.values["audio"][0, RATE // 2 :].any()
