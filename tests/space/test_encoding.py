"""Vectors of a stream of inputs: in order, none lost, whatever the batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmembed.errors import ConfigError, MediaError
from mmembed.space.encoding import prefix, vector_sums
from mmembed.space.loading import load_space
from mmembed.space.space import Space

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def first_values(field: str, values: Tensor, mask: Tensor | None) -> np.ndarray:
    """Stand in for a model: the first number of each item, twice."""
    return values[:, :1].float().numpy().repeat(2, axis=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), max_size=4)),
    st.integers(1, 5),
)
def test_every_input_gets_the_sum_of_its_own_segments(
    inputs: list[list[tuple[str, int]]], batch_size: int
) -> None:
    number = iter(range(1, 1000))
    made = [
        [((field, length), np.full(length, next(number), np.float32)) for field, length in segments]
        for segments in inputs
    ]
    sums = list(vector_sums(made, first_values, 2, batch_size, "raise"))
    assert [each.tolist() for each in sums] == [
        [sum(float(values[0]) for _, values in segments)] * 2 for segments in made
    ]


def test_a_broken_input_among_others_is_nan_or_ends_it() -> None:
    def broken() -> Iterator[Any]:
        yield ("a", 1), np.ones(1, np.float32)
        raise MediaError("bad.wav", "decode", "is broken")

    good = [(("a", 1), np.ones(1, np.float32))]
    with pytest.warns(UserWarning, match=r"skipped: bad\.wav: is broken"):
        sums = np.stack(list(vector_sums([good, broken(), good], first_values, 2, 2, "skip")))
    assert np.isnan(sums).all(axis=1).tolist() == [False, True, False]
    assert (sums[[0, 2]] == 1).all()
    with pytest.raises(MediaError, match=r"bad\.wav"):
        list(vector_sums([good, broken()], first_values, 2, 2, "raise"))


@given(
    st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=6),
    st.none() | st.integers(1, 6),
)
def test_a_prefix_is_a_unit_vector_unless_it_is_nothing(
    numbers: list[float], truncate_dim: int | None
) -> None:
    vector = np.array(numbers, np.float32)
    kept = vector[:truncate_dim]
    assert np.array_equal(prefix(vector, truncate_dim, False), kept)
    made, norm = prefix(vector, truncate_dim, True), np.linalg.norm(kept)
    assert made.shape == kept.shape
    if norm > 1e-3:
        assert np.linalg.norm(made) == pytest.approx(1, abs=1e-5)
        assert np.allclose(made * norm, kept, atol=1e-4)
    elif norm == 0:
        assert np.array_equal(made, kept)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"truncate_dim": 17}, "truncate_dim 17: the space has 16 dimensions"),
        ({"truncate_dim": 0}, "truncate_dim 0: the space has 16 dimensions"),
        ({"batch_size": 0}, "batch_size 0: must be at least 1"),
        ({"on_error": "ignore"}, "on_error ignore: choose raise or skip"),
    ],
)
def test_misuse_is_named_before_anything_is_asked_for(
    tiny_space: Space, options: dict, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        tiny_space.encode_iter(iter([]), **options)


def test_the_former_name_of_field_works_and_says_so_once(tiny_space: Space) -> None:
    expected = tiny_space.encode(PIXELS, field="image")
    with pytest.warns(DeprecationWarning, match="is called field now") as caught:
        assert np.array_equal(tiny_space.encode(PIXELS, modality="image"), expected)
    assert [str(each.message) for each in caught] == ["Space.encode: modality is called field now"]
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="is called field now"):
        streamed = list(tiny_space.encode_iter([PIXELS], modality="image"))
    assert np.array_equal(streamed[0], expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_space.encode(PIXELS, "image")


def test_a_stream_that_is_left_early_gives_the_mode_back(tiny_space: Space) -> None:
    space = Space({"image": tiny_space.encoders["image"]}, dim=4)
    space.train()
    stream = space.encode_iter([PIXELS] * 3, batch_size=1)
    next(stream)
    assert not space.training
    stream.close()
    assert space.training
    space.eval()


@pytest.mark.parametrize("device", ["cpu", "auto", torch.device("cpu")])
def test_a_space_is_loaded_onto_the_device_that_is_asked_for(
    eyes: Path, device: str | torch.device
) -> None:
    wanted = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    space = load_space(eyes, device)
    assert space.device.type == wanted
    assert not space.training


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_named_before_the_folder(tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device.*{device}") as caught:
        load_space(tmp_path / "gone", device)
    assert "\n" not in str(caught.value)
