from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmembed.data.augment import AudioAugment, Augment, ImageAugment, VideoAugment

RATE = 8000
STRONG: dict[str, Augment] = {
    "image": ImageAugment(20, 0.2, 10, 0.1, 0.03, 0.3, 0.1, 0.3),
    "video": VideoAugment(ImageAugment(20, 0.2, 10, 0.1, 0.03, 0.3, 0.1, 0.3), drop=0.5),
    "audio": AudioAugment(
        RATE, 0.1, (-0.3, 1), 4, 0.1, (0, 2), 6, (300, 2500), (0.05, 0.3), (5, 30), 6
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


def tones(hertz: float, seconds: float = 0.5, count: int = 4) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return torch.sin(2 * torch.pi * hertz * time).expand(count, -1).clone()


def loudest_hertz(sound: Tensor) -> float:
    return float(torch.fft.rfft(sound, 1 << 16).abs().argmax() * RATE / (1 << 16))


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
    "augment", [ImageAugment(), VideoAugment(ImageAugment()), AudioAugment(RATE)], ids=type
)
def test_no_range_changes_nothing(augment: Augment) -> None:
    modality = type(augment).__name__.removesuffix("Augment").lower()
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
    place = torch.arange(41.0)
    x, y = (weight.sum(1) * place).sum(1), (weight.sum(2) * place).sum(1)
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


def test_sounds_are_silent_outside_their_mask() -> None:
    values, mask = batch_of("audio")
    changed, kept = STRONG["audio"](values, mask)
    assert kept is not None
    assert changed.shape == kept.shape
    assert changed[~kept].abs().max() == 0
    assert torch.isfinite(changed).all()
    lengths = kept.sum(1)
    assert torch.equal(kept, torch.arange(kept.shape[1]) < lengths.unsqueeze(1))


def test_speed_moves_pitch_and_length_together_within_its_range() -> None:
    augment = AudioAugment(RATE, speed_semitones=4)
    changed, mask = augment(tones(500, count=16), None, torch.Generator().manual_seed(0))
    assert mask is not None
    factors = []
    for sound, valid in zip(changed, mask, strict=True):
        factor = loudest_hertz(sound[valid]) / 500
        assert int(valid.sum()) == pytest.approx(4000 / factor, rel=0.01)
        assert 2 ** (-4.1 / 12) <= factor <= 2 ** (4.1 / 12)
        factors.append(factor)
    assert max(factors) - min(factors) > 0.2


def test_silence_is_put_around_the_sound_and_nothing_is_lost() -> None:
    values = tones(500)
    changed, mask = AudioAugment(RATE, silence_seconds=0.2)(values)
    assert mask is not None
    assert (mask.sum(1) >= 4000).all()
    assert (mask.sum(1) <= 4000 + 2 * 0.2 * RATE + 1).all()
    torch.testing.assert_close(changed.square().sum(1), values.square().sum(1))


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_signal_to_noise_ratio_is_what_was_asked(snr_db: float) -> None:
    values, mask = batch_of("audio")
    assert mask is not None
    noisy, _ = AudioAugment(RATE, snr_db=(snr_db, snr_db))(values, mask)
    noise = noisy - values
    ratio = 10 * torch.log10(values.square().sum(1) / noise.square().sum(1))
    torch.testing.assert_close(ratio, torch.full((6,), snr_db), atol=0.05, rtol=0)


def test_pass_band_takes_the_edges_and_leaves_the_middle() -> None:
    augment = AudioAugment(RATE, pass_band_hz=(400, 1500))
    power = {
        hertz: augment(tones(hertz, count=64), None, torch.Generator().manual_seed(0))[0]
        .square()
        .mean()
        .item()
        for hertz in (60, 900, 3900)
    }
    assert power[900] > 0.35
    assert power[60] < 0.5 * power[900]
    assert power[3900] < 0.7 * power[900]


def test_reverberation_keeps_the_direct_sound_and_adds_a_fading_tail() -> None:
    click = torch.zeros(32, 4000)
    click[:, 100] = 1
    heard, _ = AudioAugment(RATE, reverb_seconds=(0.2, 0.2))(click)
    torch.testing.assert_close(heard[:, 100], torch.ones(32), atol=1e-4, rtol=0)
    assert heard[:, :100].abs().max() < 1e-4
    early, late = heard[:, 101:500].square().sum(), heard[:, 1000:1400].square().sum()
    assert early > 30 * late > 0


def test_gain_stays_within_its_range() -> None:
    values = tones(500, count=64)
    louder, _ = AudioAugment(RATE, gain_db=6)(values)
    gain = 10 * torch.log10(louder.square().mean(1) / values.square().mean(1))
    assert gain.abs().max() <= 6.01
    assert gain.max() - gain.min() > 6


def test_equaliser_of_zero_mean_changes_the_spectrum_but_not_the_length() -> None:
    values, mask = batch_of("audio")
    changed, kept = AudioAugment(RATE, equaliser_db=6)(values, mask)
    assert changed.shape == values.shape
    assert kept is mask
    assert not torch.allclose(changed, values, atol=1e-3)


def test_cropping_takes_no_more_than_its_share_from_either_end() -> None:
    values = torch.arange(1.0, 4001.0).expand(32, -1).clone()
    changed, mask = AudioAugment(RATE, crop=0.2)(values)
    assert mask is not None
    first, lengths = changed[:, 0], mask.sum(1)
    assert first.min() >= 1
    assert 600 < first.max() <= 801
    last = changed.gather(1, lengths.unsqueeze(1) - 1).squeeze(1)
    assert last.max() <= 4000
    assert 3199 <= last.min() < 3400
    torch.testing.assert_close(last - first + 1, lengths.float())


@pytest.mark.parametrize(("power", "distance_db"), [(1.0, 40.0), (-0.5, 10.0)])
def test_dynamics_stretch_the_distance_of_loud_and_weak(power: float, distance_db: float) -> None:
    values = tones(500)
    values[:, 2000:] *= 0.1  # 20 dB below
    changed, mask = AudioAugment(RATE, dynamics=(power, power))(values)
    assert mask is None
    loud, weak = (changed[:, part].norm(dim=1) for part in (slice(200, 1800), slice(2200, 3800)))
    found = 20 * torch.log10(loud / weak)
    torch.testing.assert_close(found, torch.full((4,), distance_db), atol=0.3, rtol=0)
    torch.testing.assert_close(changed.norm(dim=1), values.norm(dim=1), rtol=1e-5, atol=0)


def test_aliasing_mirrors_what_a_converter_without_a_filter_would() -> None:
    high = tones(3500)
    folded, mask = AudioAugment(RATE, aliasing=(2, 2))(high)
    assert mask is None
    assert loudest_hertz(folded[0]) == pytest.approx(500, abs=2)
    # what every second sample of a sound holds is its spectrum, folded
    whole, _ = AudioAugment(RATE, aliasing=(1, 1))(high)
    torch.testing.assert_close(whole[:, 200:-200:2], high[:, 200:-200:2], atol=0.05, rtol=0)
    low, _ = AudioAugment(RATE, aliasing=(0, 0))(tones(500))
    torch.testing.assert_close(low, tones(500), atol=0.1, rtol=0)
    gone, _ = AudioAugment(RATE, aliasing=(0, 0))(high)
    assert gone.square().mean() < 0.01
