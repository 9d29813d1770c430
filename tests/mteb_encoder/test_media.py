"""Every form in which mteb hands over media becomes the vector of the file itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import ExifTags, Image

from mmembed.errors import ConfigError
from mmembed.mteb_encoder import MtebEncoder
from mmembed.mteb_encoder.media import as_files, to_input
from mmembed.preprocess.base import Preprocess
from tests.mteb_encoder.conftest import encoded, loader, rows

pytest.importorskip("mteb")
datasets = pytest.importorskip("datasets")


def decoded(path: str) -> torch.Tensor:
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def forms(modality: str, path: str) -> list[Any]:
    """Return one file in every form in which mteb may hand it over."""
    content = Path(path).read_bytes()
    held = {"bytes": content, "path": "x"}
    files = [path, Path(path), content, bytearray(content), held, {"bytes": None, "path": path}]
    files.append(SimpleNamespace(_hf_encoded=held))  # where a decoder of datasets keeps its file
    if modality == "image":
        picture = Image.open(path)
        pixels = np.asarray(picture)
        return [*files, picture, pixels, torch.from_numpy(pixels.copy()).permute(2, 0, 1)]
    if modality == "audio":
        samples, rate = soundfile.read(path)
        return [
            *files,
            {"array": samples, "sampling_rate": rate},
            {"array": samples.tolist(), "sampling_rate": float(rate)},
            {"array": torch.from_numpy(samples)[None], "sampling_rate": torch.tensor(rate)},
            {"array": np.stack([samples, samples]), "sampling_rate": np.int64(rate)},
        ]
    return [*files, decoded(path), decoded(path).permute(0, 2, 3, 1).numpy()]


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_every_form_of_a_file_gives_its_vector(
    model: MtebEncoder, media: dict[str, list[str]], modality: str
) -> None:
    for path in media[modality][:12:2]:
        given = forms(modality, path)
        vectors = encoded(model, [{modality: given[:3]}, {modality: given[3:]}])
        assert np.abs(vectors - model.space.encode(path)).max() <= 1e-5


def save_deep_grey(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 200).save(path)


def save_transparent(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(np.dstack([pixels, pixels[..., :1]])).save(path)


def save_palette(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).quantize(16).save(path, transparency=3)


def save_sideways(path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(pixels).save(path, exif=exif)


def save_cmyk(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).convert("CMYK").save(path.with_suffix(".tif"))
    path.with_suffix(".tif").rename(path)


@pytest.mark.parametrize(
    "save", [save_deep_grey, save_transparent, save_palette, save_sideways, save_cmyk]
)
def test_opened_picture_is_what_its_file_is(
    model: MtebEncoder, tmp_path: Path, rng: np.random.Generator, save: Any
) -> None:
    path = tmp_path / "picture.png"
    save(path, rng.integers(0, 256, (50, 40, 3), np.uint8))
    expected = model.space.encode(path)
    assert np.abs(encoded(model, [{"image": [Image.open(path)]}]) - expected).max() <= 1e-5
    plain = encoded(model, [{"image": [Image.new("RGB", (40, 50))]}])
    assert np.abs(plain - expected).max() > 1e-3


def test_sound_is_resampled_from_the_rate_it_is_given_with(
    model: MtebEncoder, rng: np.random.Generator
) -> None:
    samples = rng.uniform(-0.5, 0.5, 9000).astype(np.float32)
    given = [{"array": samples, "sampling_rate": rate} for rate in (8000, 16000, 44100)]
    vectors = encoded(model, [{"audio": given}])
    expected = np.stack([model.space.encode((samples, rate)) for rate in (8000, 16000, 44100)])
    assert np.abs(vectors - expected).max() <= 1e-6
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_sound_track_of_a_video_file_is_heard_in_an_audio_column(
    model: MtebEncoder, media: dict[str, list[str]], tmp_path: Path
) -> None:
    samples, rate = soundfile.read(media["audio"][0], dtype="float32")
    soundfile.write(tmp_path / "heard.wav", samples, rate, subtype="FLOAT")
    with av.open(str(tmp_path / "seen.mkv"), "w") as container:
        picture = container.add_stream("libx264", rate=10)
        picture.width, picture.height, picture.pix_fmt = 48, 40, "yuv420p"
        sound = container.add_stream("pcm_f32le", rate=rate, layout="mono")
        black = av.VideoFrame.from_ndarray(np.zeros((40, 48, 3), np.uint8))
        heard = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        heard.sample_rate = rate
        container.mux([*picture.encode(black), *picture.encode()])
        container.mux([*sound.encode(heard), *sound.encode()])
    vectors = encoded(model, [{"audio": [tmp_path / "seen.mkv", tmp_path / "heard.wav"]}])
    assert vectors[0] @ vectors[1] > 0.9999  # Matroska rounds times to milliseconds


@pytest.mark.parametrize("frames", [1, 3, 4, 9, 40])
def test_frames_are_taken_at_the_midpoints_of_equal_parts(
    model: MtebEncoder, frames: int, rng: np.random.Generator
) -> None:
    preprocess = model.space.preprocess["video"]
    clip = to_input(rng.integers(0, 256, (frames, 8, 9, 3), np.uint8), preprocess, "")
    shown = sorted({int((i + 0.5) / 4 * frames) for i in range(4)})
    assert clip.pts_seconds.tolist() == shown
    assert clip.frames.shape == (len(shown), 8, 9, 3)


def test_files_of_a_dataset_are_left_to_our_decoders(media: dict[str, list[str]]) -> None:
    batch = next(iter(as_files(loader(rows("audio", media["audio"], label=range(36))))))
    assert batch["audio"][1] == {"bytes": None, "path": media["audio"][1]}
    assert batch["label"] == [0, 1, 2, 3]
    formatted = loader(rows("image", media["image"]).with_format("numpy"))
    assert as_files(formatted) is formatted
    grey = rows("image", media["image"]).cast_column("image", datasets.Image(mode="L"))
    assert next(iter(as_files(loader(grey))))["image"][0].mode == "L"
    plain = [{"image": media["image"]}]
    assert as_files(plain) is plain


SOUND = np.zeros(800)
NO_RATE = "is not a rate in Hz, so its array can't be resampled"


@pytest.mark.parametrize(
    ("modality", "value", "message"),
    [
        ("image", None, "image of row 0: nothing is not understood as image"),
        ("image", {}, "a mapping with nothing is not understood"),
        ("image", np.zeros((8, 8, 3)), r"an array of float64 \(8, 8, 3\) is not understood"),
        ("image", torch.zeros(5, 8, 8).byte(), r"an array of uint8 \(5, 8, 8\) is not understood"),
        ("audio", SOUND, "is not understood as audio"),
        ("audio", "", "a value of type str is not understood"),
        ("audio", {"array": SOUND}, f"sampling_rate None {NO_RATE}"),
        ("audio", {"array": SOUND, "sampling_rate": 0}, f"sampling_rate 0 {NO_RATE}"),
        ("audio", {"array": SOUND, "sampling_rate": 22.05}, f"sampling_rate 22.05 {NO_RATE}"),
        ("audio", {"array": SOUND, "sampling_rate": "?"}, NO_RATE),
        ("audio", {"array": SOUND.astype(int), "sampling_rate": 8000}, "a sound is floats"),
        ("audio", {"array": SOUND[:0], "sampling_rate": 8000}, "a sound is floats"),
        ("audio", {"array": SOUND.reshape(400, 2), "sampling_rate": 8000}, r"\(400, 2\); a sound"),
        ("audio", {"array": SOUND + np.nan, "sampling_rate": 8000}, "array holds NaN or infinity"),
        ("video", np.zeros((8, 8, 3), np.uint8), "is not understood as video"),
    ],
)
def test_form_that_is_not_understood_is_named(
    model: MtebEncoder, modality: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        encoded(model, [{modality: [value]}])


def test_text_is_handed_on_as_it_is() -> None:
    class Words(Preprocess):
        modality = "text"

        def load(self, source: Any, span: Any = None, *, allow_truncated: bool = False) -> Any:
            return source

        def __call__(self, media: Any) -> Any:
            return media

    assert to_input("a dog.wav", Words(), "") == "a dog.wav"
    with pytest.raises(ConfigError, match="text of row 2: a value of type int is no text"):
        to_input(7, Words(), "text of row 2")
