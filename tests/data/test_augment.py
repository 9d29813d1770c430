"""Random changes of training batches: drawn from the generator, within what was asked for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmembed.data.augment import (
    AudioDynamics,
    AudioFilter,
    AudioGain,
    AudioNoise,
    AudioTiming,
    Augment,
    Chain,
    ImageAugment,
    VideoAugment,
)
from mmembed.data.augment.base import between, fast_fft_length, symmetric

RATE = 8000
STRONG: dict[str, Augment] = {
    "image": ImageAugment(20, 0.2, 10, 0.1, 0.03, 0.3, 0.1, 0.3),
    "video": VideoAugment(ImageAugment(20, 0.2, 10, 0.1, 0.03, 0.3, 0.1, 0.3), drop=0.5),
    "audio": Chain(
        [
            AudioDynamics(RATE, (-0.3, 1)),
            AudioTiming(RATE, 0.1, 4, 0.1),
            AudioFilter(RATE, (0, 2), 6, (300, 2500), (0.05, 0.3)),
            AudioNoise((5, 30)),
            AudioGain(6),
        ]
    ),
}


def batch_of(modality: str) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(5)
    if modality == "image":
        return torch.randint(0, 256, (6, 3, 28, 20), generator=generator).byte(), None
    if modality == "video":
        values = torch.randint(0, 256, (6, 5, 3, 16, 16), generator=generator).byte()
        mask = torch.arange(5) < torch.tensor([5, 4, 3, 2, 1, 5]).unsqueeze(1)
        return values, mask
    mask = torch.arange(4000) < torch.tensor([4000, 3000, 2500, 2000, 900, 400]).unsqueeze(1)
    return torch.randn(6, 4000, generator=generator) * 0.1 * mask, mask


@pytest.mark.parametrize("modality", STRONG)
def test_same_generator_gives_the_same_batch_and_another_gives_another(modality: str) -> None:
    values, mask = batch_of(modality)
    augment = STRONG[modality]
    first, first_mask = augment(values, mask, torch.Generator().manual_seed(1))
    again, again_mask = augment(values, mask, torch.Generator().manual_seed(1))
    other, _ = augment(values, mask, torch.Generator().manual_seed(2))
    assert torch.equal(first, again)
    assert mask is None or torch.equal(first_mask, again_mask)
    assert first.shape != other.shape or not torch.equal(first, other)


@pytest.mark.parametrize(
    ("modality", "augment"),
    [
        ("image", ImageAugment()),
        ("video", VideoAugment(ImageAugment())),
        ("audio", AudioTiming(RATE)),
        ("audio", AudioFilter(RATE)),
        ("audio", Chain([])),
    ],
    ids=lambda part: type(part).__name__,
)
def test_no_range_changes_nothing(modality: str, augment: Augment) -> None:
    values, mask = batch_of(modality)
    kept, kept_mask = augment(values, mask)
    assert torch.equal(kept, values)
    assert kept_mask is mask


@pytest.mark.parametrize("modality", STRONG)
def test_the_batch_given_is_left_as_it_was(modality: str) -> None:
    values, mask = batch_of(modality)
    before, mask_before = values.clone(), None if mask is None else mask.clone()
    STRONG[modality](values, mask)
    assert torch.equal(values, before)
    assert mask is None or torch.equal(mask, mask_before)


def test_pictures_keep_their_shape_and_range() -> None:
    values, _ = batch_of("image")
    changed, mask = STRONG["image"](values)
    assert changed.shape == values.shape
    assert mask is None
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_shift_moves_a_dot_by_no_more_than_asked() -> None:
    values = torch.zeros(64, 3, 41, 41)
    values[:, :, 20, 20] = 255
    moved, _ = ImageAugment(shift=0.2)(values, generator=torch.Generator().manual_seed(0))
    weight = moved[:, 0] / moved[:, 0].sum((1, 2), keepdim=True)
    at = torch.arange(41.0)
    x, y = (weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)
    far = torch.stack([x - 20, y - 20]).abs()
    assert far.max() <= 0.2 * 41 + 0.1
    assert far.max() > 0.1 * 41


def test_erasing_blanks_a_square_of_at_most_the_share_asked() -> None:
    values = torch.full((64, 3, 40, 40), 200, dtype=torch.uint8)
    erased, _ = ImageAugment(erase=0.5)(values, generator=torch.Generator().manual_seed(0))
    blank = (erased[:, 0] == 0).float()
    assert blank.amax(2).sum(1).max() <= 21
    assert blank.mean((1, 2)).max() > 0.1


def test_frames_of_a_clip_are_changed_alike_and_clips_are_not() -> None:
    values = torch.randint(0, 256, (4, 1, 3, 16, 16)).expand(4, 3, 3, 16, 16)
    changed, _ = VideoAugment(ImageAugment(degrees=20, contrast=0.5))(values)
    assert torch.equal(changed[:, 0], changed[:, 2])
    assert not torch.equal(changed[0], changed[1])


def test_dropped_frames_leave_at_least_one_and_are_none_that_were_missing() -> None:
    values, mask = batch_of("video")
    assert mask is not None
    for seed in range(20):
        _, kept = VideoAugment(drop=0.9)(values, mask, torch.Generator().manual_seed(seed))
        assert kept is not None
        assert (kept & ~mask).sum() == 0
        assert kept.any(1).all()
    _, kept = VideoAugment(drop=0.5)(values, None)
    assert kept is not None
    assert kept.shape == values.shape[:2]


def test_a_chain_is_its_steps_one_after_the_other() -> None:
    values, mask = batch_of("audio")
    generator = torch.Generator().manual_seed(3)
    expected, expected_mask = values, mask
    for step in STRONG["audio"].steps:
        expected, expected_mask = step(expected, expected_mask, generator)
    changed, kept = STRONG["audio"](values, mask, torch.Generator().manual_seed(3))
    assert torch.equal(changed, expected)
    assert torch.equal(kept, expected_mask)


def test_frames_that_stay_are_changed_as_if_all_did_and_the_others_are_black() -> None:
    values, mask = batch_of("video")
    assert mask is not None
    still = ImageAugment(20, 0.2, 10, 0.1, 0.03, erase=0.3)
    whole, _ = VideoAugment(still)(values, None, torch.Generator().manual_seed(4))
    some, kept = VideoAugment(still)(values, mask, torch.Generator().manual_seed(4))
    assert kept is mask
    assert torch.equal(some[mask], whole[mask])
    assert some[~mask].abs().max() == 0


def test_contrast_of_a_clip_is_around_the_mean_of_the_frames_that_stay() -> None:
    values = 100 + 20 * torch.rand(16, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(4) < torch.tensor([1, 2, 3, 4] * 4).unsqueeze(1)
    values[~mask] = 0
    changed, _ = VideoAugment(ImageAugment(contrast=0.5))(values, mask)
    for clip, before, valid in zip(changed, values, mask, strict=True):
        torch.testing.assert_close(clip[valid].mean(), before[valid].mean(), atol=0.01, rtol=0)
        factors = clip[valid].std() / before[valid].std()
        assert 1 / 1.51 < factors < 1.51


@pytest.mark.parametrize("degrees", [30.0, 90.0])
def test_turning_keeps_the_middle_and_moves_the_edge(degrees: float) -> None:
    values = torch.zeros(32, 3, 41, 41)
    values[:, 0, 20, 20] = 255
    values[:, 1, 20, 38] = 255
    turned, _ = ImageAugment(degrees=degrees)(values, generator=torch.Generator().manual_seed(0))
    assert (turned[:, 0, 20, 20] > 200).all()
    at = torch.arange(41.0) - 20
    weight = turned[:, 1] / turned[:, 1].sum((1, 2), keepdim=True)
    x, y = (weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)
    angles = torch.rad2deg(torch.atan2(y, x)).abs()
    assert angles.max() <= degrees + 1
    assert angles.max() > degrees / 2
    torch.testing.assert_close(torch.hypot(x, y), torch.full((32,), 18.0), atol=0.6, rtol=0)


def test_scale_grows_and_shrinks_within_its_range() -> None:
    values = torch.zeros(128, 3, 60, 60)
    values[:, :, 20:40, 20:40] = 255
    scaled, _ = ImageAugment(scale=0.25)(values, generator=torch.Generator().manual_seed(0))
    side = (scaled[:, 0].sum((1, 2)) / 255).sqrt() / 20
    assert side.max() <= 1.26
    assert side.min() >= 0.79
    assert side.max() - side.min() > 0.3


def test_shear_moves_rows_sideways_and_leaves_them_in_their_row() -> None:
    values = torch.zeros(32, 3, 41, 41)
    values[:, :, 8, 20] = 255
    sheared, _ = ImageAugment(shear_degrees=20)(values, generator=torch.Generator().manual_seed(0))
    rows = sheared[:, 0].sum(2)
    assert (rows.argmax(1) == 8).all()
    columns = sheared[:, 0].sum(1).argmax(1) - 20
    assert columns.abs().max() <= 12 * 0.364 + 1  # tan 20 degrees, 12 rows from the middle
    assert columns.min() < 0 < columns.max()


def test_elastic_bending_is_smooth_and_keeps_the_range() -> None:
    ramp = torch.linspace(0, 255, 64).expand(8, 3, 64, 64).contiguous()
    bent, _ = ImageAugment(elastic=0.03)(ramp, generator=torch.Generator().manual_seed(0))
    assert bent.min() >= 0
    assert bent.max() <= 255
    moved = (bent - ramp).abs().amax((1, 2, 3))
    assert (moved > 1).all()
    assert (bent[..., 1:] - bent[..., :-1]).abs().max() < 30  # no tear


def test_contrast_keeps_the_mean_and_brightness_moves_it() -> None:
    torch.manual_seed(0)
    values = 100 + 20 * torch.rand(64, 3, 16, 16)
    generator = torch.Generator().manual_seed(0)
    stretched, _ = ImageAugment(contrast=0.5)(values, generator=generator)
    mean = values.mean((1, 2, 3))
    torch.testing.assert_close(stretched.mean((1, 2, 3)), mean, atol=0.01, rtol=0)
    factor = stretched.std((1, 2, 3)) / values.std((1, 2, 3))
    assert 1 / 1.51 < factor.min() < 0.8
    assert 1.2 < factor.max() < 1.51
    brighter, _ = ImageAugment(brightness=0.1)(values, generator=generator)
    offset = brighter.mean((1, 2, 3)) - mean
    assert offset.abs().max() <= 25.6
    assert offset.min() < 0 < offset.max()
    torch.testing.assert_close(brighter.std((1, 2, 3)), values.std((1, 2, 3)))


def test_a_clip_alone_in_its_batch_keeps_its_last_frame() -> None:
    values = torch.zeros(1, 1, 3, 4, 4)
    for seed in range(10):
        _, kept = VideoAugment(drop=1.0)(values, None, torch.Generator().manual_seed(seed))
        assert kept is not None
        assert kept.all()


@given(st.integers(1, 100_000))
def test_the_length_of_a_fast_fft_is_the_next_of_its_kind(samples: int) -> None:
    length = fast_fft_length(samples)
    kinds = [2**n for n in range(19)] + [3 * 2**n for n in range(18)]
    assert length == min(kind for kind in kinds if kind >= samples)


@given(st.floats(-50, 50), st.floats(0, 50), st.integers(1, 40), st.integers(0, 1000))
def test_draws_stay_within_their_limits(low: float, width: float, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = between((low, low + width), count, generator)
    assert drawn.shape == (count, 1)
    assert drawn.min() >= low - 1e-4
    assert drawn.max() <= low + width + 1e-4
    either = symmetric(count, width, generator)
    assert either.shape == (count,)
    assert either.abs().max() <= width + 1e-4
