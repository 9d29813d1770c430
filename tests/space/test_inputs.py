"""Inputs in memory: every form of the same media gives the same values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import ConfigError, MediaError
from mmembed.media.audio import Waveform
from mmembed.media.video import Clip
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from mmembed.space.inputs import as_media, is_one

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
SAMPLES = np.random.default_rng(1).uniform(-0.5, 0.5, 9000).astype(np.float32)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "given_input",
    [
        png(),
        io.BytesIO(png()),
        Image.fromarray(PIXELS),
        PIXELS,
        torch.from_numpy(PIXELS),
        PIXELS.astype(np.uint16) * 257,
        PIXELS / 255,
        torch.from_numpy(PIXELS) / 255,
    ],
    ids=["bytes", "BytesIO", "PIL", "array", "tensor", "16 bits", "float", "float tensor"],
)
def test_a_picture_in_any_form_has_the_same_values(given_input: Any) -> None:
    preprocess = ImagePreprocess(size=12)
    media = as_media(given_input)
    assert media.kind == "image"
    (values,) = media.values(preprocess)
    assert np.array_equal(values, preprocess(PIXELS))


def test_a_grey_picture_has_the_values_of_its_colours() -> None:
    preprocess = ImagePreprocess(size=12)
    (values,) = as_media(PIXELS[..., 0]).values(preprocess)
    assert np.array_equal(values, preprocess(np.repeat(PIXELS[..., :1], 3, 2)))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_a_picture_that_pillow_opened_has_the_values_of_its_file(mode: str) -> None:
    image = Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]), "RGBA")
    if mode == "I;16":
        image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200)
    elif mode != "RGBA":
        image = (image if mode == "LA" else image.convert("RGB")).convert(mode)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    image.save(buffer, "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    preprocess = ImagePreprocess(size=12)
    (of_file,) = as_media(buffer.getvalue()).values(preprocess)
    (of_image,) = as_media(Image.open(buffer)).values(preprocess)
    assert np.array_equal(of_image, of_file)


def test_a_picture_that_pillow_cannot_read_to_its_end_is_an_error() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    image = Image.open(io.BytesIO(buffer.getvalue()[:50_000]))
    with pytest.raises(ConfigError, match="an input of type PngImageFile: .*truncated"):
        as_media(image)
    with pytest.raises(ConfigError, match="an input of type Image: it has no pixels"):
        as_media(Image.new("RGB", (0, 5)))


def test_a_path_in_either_form_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        (values,) = as_media(path).values(ImagePreprocess(size=12))
        assert np.array_equal(values, ImagePreprocess(size=12)(PIXELS))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9000), st.sampled_from([1.0, 0.5]), st.sampled_from([0.1, 0.9]))
def test_a_sound_in_memory_is_cut_as_its_file(length: int, hop: float, least: float) -> None:
    preprocess = AudioPreprocess(4000, 1.0, hop, least, 0.5)
    samples, buffer = SAMPLES[:length], io.BytesIO()
    soundfile.write(buffer, samples, 4000, format="WAV", subtype="FLOAT")
    parts = [
        list(as_media(each).values(preprocess))
        for each in (
            buffer.getvalue(),
            (samples, 4000),
            (samples[None], 4000.0),
            (torch.from_numpy(samples), 4000),
            Waveform(samples[None], 4000),
        )
    ]
    for other in parts[1:]:
        assert len(other) == len(parts[0])
        assert all(np.array_equal(a, b) for a, b in zip(parts[0], other, strict=True))


def test_a_clip_is_taken_whole() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), np.uint8)
    media = as_media(Clip(frames, np.arange(3.0)))
    (values,) = media.values(VideoPreprocess(ImagePreprocess(size=20), frames=4))
    assert media.kind == "video"
    assert np.array_equal(values, frames.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("inputs", "one"),
    [
        ("a.png", True),
        (Path("a.png"), True),
        (b"bytes", True),
        (Image.new("RGB", (2, 2)), True),
        (PIXELS, True),
        (PIXELS[..., 0], True),
        (io.BytesIO(b"bytes"), True),
        (torch.from_numpy(PIXELS), True),
        ((SAMPLES, 4000), True),
        ((SAMPLES, 4000.0), True),
        (Waveform(SAMPLES[None], 4000), True),
        (["a.png"], False),
        (("a.png", "b.png"), False),
        (("a.png",), False),
        (np.stack([PIXELS, PIXELS]), False),
        ([], False),
        (iter(["a.png"]), False),
    ],
)
def test_one_input_is_told_from_many(inputs: Any, one: bool) -> None:
    assert is_one(inputs) is one


@pytest.mark.parametrize(
    "given_input",
    [
        None,
        3,
        {"image": 1},
        np.dstack([PIXELS, PIXELS]),
        PIXELS.transpose(2, 0, 1),
        PIXELS[:0],
        (PIXELS / 255)[..., 0],
        PIXELS[0, 0],
        SAMPLES,
        ("a", "b", "c"),
    ],
)
def test_what_is_no_input_is_named_with_what_would_be(given_input: Any) -> None:
    with pytest.raises(ConfigError, match=r"an input of type .* is not understood: give a path"):
        as_media(given_input)


def test_bytes_of_no_known_format_are_named() -> None:
    with pytest.raises(MediaError, match="of no known format"):
        as_media(b"\x00\x01\x02\x03" * 20)
