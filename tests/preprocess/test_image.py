"""Pictures of any size become one square, cut, padded or squashed as asked."""

from __future__ import annotations

import io
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import ConfigError
from mmembed.media.probe import MediaInfo
from mmembed.preprocess.image import RESAMPLING, ImagePreprocess

SIDES = st.integers(1, 90)
SIZES = st.integers(1, 40)
METHODS = st.sampled_from(sorted(RESAMPLING))
RESIZES = st.sampled_from(["crop", "pad", "squash"])


def plain(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@settings(deadline=None, max_examples=150)
@given(SIDES, SIDES, SIZES, RESIZES, METHODS, st.floats(0.3, 1.0))
def test_any_picture_becomes_a_square_of_bytes(
    height: int, width: int, size: int, resize: str, method: str, fraction: float
) -> None:
    preprocess = ImagePreprocess(size, resize, fraction, method)
    values = preprocess(plain(height, width))
    assert values.shape == (3, size, size)
    assert values.dtype == np.uint8
    assert values.flags.c_contiguous


@settings(deadline=None, max_examples=150)
@given(SIDES, SIDES, SIZES, st.sampled_from(["crop", "squash"]), st.floats(0.3, 1.0))
def test_crop_and_squash_fill_the_square(
    height: int, width: int, size: int, resize: str, fraction: float
) -> None:
    values = ImagePreprocess(size, resize, fraction)(plain(height, width))
    assert (values == 200).all(), "a picture of one colour has no border and no other colour"


@settings(deadline=None, max_examples=150)
@given(SIDES, SIDES, SIZES)
def test_pad_keeps_the_whole_picture_and_its_shape(height: int, width: int, size: int) -> None:
    values = ImagePreprocess(size, "pad")(plain(height, width))
    shown = values[0] == 200
    rows, columns = shown.any(1).sum(), shown.any(0).sum()
    scale = size / max(height, width)
    assert (rows, columns) == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert shown.sum() == rows * columns, "a rectangle"
    assert (values[:, ~shown] == 0).all(), "on black"
    above, left = int(shown.any(1).argmax()), int(shown.any(0).argmax())
    assert abs(above - (size - rows - above)) <= 1
    assert abs(left - (size - columns - left)) <= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(8, 60), st.integers(8, 60), st.sampled_from(["crop", "pad", "squash"]))
def test_a_picture_on_its_side_gives_values_on_their_side(
    height: int, width: int, resize: str
) -> None:
    rng = np.random.default_rng(height * 100 + width)
    media = rng.integers(0, 256, (height, width, 3), np.uint8)
    preprocess = ImagePreprocess(16, resize, interpolation="bilinear")
    turned = preprocess(np.ascontiguousarray(media.transpose(1, 0, 2))).transpose(0, 2, 1)
    difference = np.abs(preprocess(media).astype(int) - turned)
    assert difference.max() <= 2, "but for rounding between the two axes"


def test_a_picture_of_the_right_size_is_left_as_it_is(rng: np.random.Generator) -> None:
    media = rng.integers(0, 256, (24, 24, 3), np.uint8)
    for resize in ("crop", "pad", "squash"):
        assert np.array_equal(ImagePreprocess(24, resize)(media), media.transpose(2, 0, 1))


def test_crop_takes_the_centre() -> None:
    media = np.zeros((10, 30, 3), np.uint8)
    media[:, 10:20] = 255
    assert (ImagePreprocess(10)(media) == 255).all()
    assert (ImagePreprocess(10)(media.transpose(1, 0, 2)) == 255).all()


def test_a_picture_of_any_shape_takes_little_memory() -> None:
    program = """if True:
        import resource, sys
        import numpy as np
        from mmembed.preprocess.image import ImagePreprocess
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for resize in ("crop", "pad", "squash"):
            for shape in ((1, 20000, 3), (20000, 1, 3), (3, 60000, 3)):
                values = ImagePreprocess(size=224, resize=resize)(np.full(shape, 77, np.uint8))
                assert values.max() == 77
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(grown / (1e6 if sys.platform == "darwin" else 1e3))
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 100  # megabytes; scaled before it is cut, the first is 3,000


@pytest.mark.parametrize("fraction", [1.0, 0.875])
@pytest.mark.parametrize("times", [1, 2])
def test_a_long_picture_is_cut_where_a_short_one_is(
    times: int, fraction: float, rng: np.random.Generator
) -> None:
    preprocess = ImagePreprocess(size=24, crop_fraction=fraction)
    middle = rng.integers(0, 256, (24 * times, 160 * times, 3), np.uint8)
    ends = np.zeros((24 * times, 200 * times, 3), np.uint8)
    long = preprocess(np.concatenate([ends, middle, ends], 1)).astype(int)
    assert np.abs(long - preprocess(middle)).max() <= 2


def test_crop_fraction_keeps_that_share_of_the_side(rng: np.random.Generator) -> None:
    media = rng.integers(0, 256, (20, 20, 3), np.uint8)
    values = ImagePreprocess(16, crop_fraction=0.8)(media)
    assert np.array_equal(values, media[2:18, 2:18].transpose(2, 0, 1))


@pytest.mark.parametrize("method", sorted(RESAMPLING))
def test_interpolation_is_that_of_pillow(method: str, rng: np.random.Generator) -> None:
    media = rng.integers(0, 256, (40, 40, 3), np.uint8)
    expected = np.asarray(Image.fromarray(media).resize((9, 9), RESAMPLING[method]))
    values = ImagePreprocess(9, interpolation=method)(media)
    assert np.array_equal(values, expected.transpose(2, 0, 1))


@settings(deadline=None, max_examples=15)
@given(st.integers(4, 64), st.floats(0.5, 1.0))
def test_what_is_decoded_is_enough_for_the_values(size: int, fraction: float) -> None:
    rng = np.random.default_rng(size)
    media, file = rng.integers(0, 256, (300, 200, 3), np.uint8), io.BytesIO()
    Image.fromarray(media).save(file, "JPEG")
    preprocess = ImagePreprocess(size, crop_fraction=fraction)
    decoded = preprocess.load(file.getvalue())
    assert min(decoded.shape[:2]) >= min(200, math.floor(size / fraction))
    assert preprocess(decoded).shape == (3, size, size)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": -3},
        {"crop_fraction": 0.0},
        {"crop_fraction": 1.1},
        {"std": (0.5, 0.0, 0.5)},
    ],
)
def test_a_wrong_argument_is_named(wrong: dict) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match="ImagePreprocess: .*must be positive") as caught:
        ImagePreprocess(**wrong)
    assert f"{name} {value}" in str(caught.value)


def test_a_preprocess_is_a_value() -> None:
    one, other = ImagePreprocess(size=8, mean=[0.1, 0.2, 0.3]), ImagePreprocess(8)
    assert one != other
    assert one == ImagePreprocess(size=8, mean=(0.1, 0.2, 0.3))
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, other, ImagePreprocess(8)}) == 2
    with pytest.raises(AttributeError):
        one.size = 9  # type: ignore[misc]


def test_a_picture_is_one_whole_without_padding() -> None:
    preprocess = ImagePreprocess(size=8)
    assert preprocess.spans(MediaInfo("image", "png", 10, 10)) == [None]
    assert preprocess.bucket(preprocess(plain(5, 9))) is None
