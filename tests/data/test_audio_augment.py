"""Random changes of sounds: what each does to tones, and the draws it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmembed.data.augment import (
    AudioDynamics,
    AudioFilter,
    AudioGain,
    AudioNoise,
    AudioTiming,
    Augment,
    Chain,
    base,
)
from mmembed.data.augment.base import parts
from tests.data.test_augment import RATE, STRONG, batch_of


def tones(hertz: float, seconds: float = 0.5, count: int = 4) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return torch.sin(2 * torch.pi * hertz * time).expand(count, -1).clone()


def loudest_hertz(sound: Tensor) -> float:
    return float(torch.fft.rfft(sound, 1 << 16).abs().argmax() * RATE / (1 << 16))


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
    augment = AudioTiming(RATE, speed_semitones=4)
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
    changed, mask = AudioTiming(RATE, silence_seconds=0.2)(values)
    assert mask is not None
    assert (mask.sum(1) >= 4000).all()
    assert (mask.sum(1) <= 4000 + 2 * 0.2 * RATE + 1).all()
    torch.testing.assert_close(changed.square().sum(1), values.square().sum(1))


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_signal_to_noise_ratio_is_what_was_asked(snr_db: float) -> None:
    values, mask = batch_of("audio")
    assert mask is not None
    noisy, _ = AudioNoise((snr_db, snr_db))(values, mask)
    noise = noisy - values
    ratio = 10 * torch.log10(values.square().sum(1) / noise.square().sum(1))
    torch.testing.assert_close(ratio, torch.full((6,), snr_db), atol=0.05, rtol=0)


def test_noise_is_anything_from_white_to_brown() -> None:
    values = tones(500, seconds=2, count=64)
    noisy, _ = AudioNoise((0, 0))(values, None, torch.Generator().manual_seed(0))
    power = torch.fft.rfft(noisy - values).abs().square()
    octaves = torch.stack([power[:, 2**k : 2 ** (k + 1)].mean(1).log2() for k in range(4, 12)], 1)
    slopes = (octaves[:, -1] - octaves[:, 0]) / 7  # of the power, an octave
    assert -2.4 < slopes.min() < -1.6
    assert -0.4 < slopes.max() < 0.4
    assert slopes.sort().values.diff().max() < 0.3


def test_noise_of_a_batch_differs_from_sound_to_sound_and_has_no_period() -> None:
    values = torch.ones(8, 6000)
    noise = AudioNoise((0, 0))(values, None, torch.Generator().manual_seed(0))[0] - values
    noise = noise - noise.mean(1, keepdim=True)
    alike = torch.corrcoef(noise) - torch.eye(8)
    assert alike.abs().max() < 0.7
    halves = torch.corrcoef(torch.cat([noise[:, :3000], noise[:, 3000:]]))
    assert halves.diagonal(8).abs().mean() < 0.4


def test_pass_band_takes_the_edges_and_leaves_the_middle() -> None:
    augment = AudioFilter(RATE, pass_band_hz=(400, 1500))
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
    heard, _ = AudioFilter(RATE, reverb_seconds=(0.2, 0.2))(click)
    torch.testing.assert_close(heard[:, 100], torch.ones(32), atol=1e-4, rtol=0)
    assert heard[:, :100].abs().max() < 1e-4
    early, late = heard[:, 101:500].square().sum(), heard[:, 1000:1400].square().sum()
    assert early > 30 * late > 0


def test_gain_stays_within_its_range() -> None:
    values = tones(500, count=64)
    louder, _ = AudioGain(6)(values)
    gain = 10 * torch.log10(louder.square().mean(1) / values.square().mean(1))
    assert gain.abs().max() <= 6.01
    assert gain.max() - gain.min() > 6


def test_equaliser_of_zero_mean_changes_the_spectrum_but_not_the_length() -> None:
    values, mask = batch_of("audio")
    changed, kept = AudioFilter(RATE, equaliser_db=6)(values, mask)
    assert changed.shape == values.shape
    assert kept is mask
    assert not torch.allclose(changed, values, atol=1e-3)


def test_cropping_takes_no_more_than_its_share_from_either_end() -> None:
    values = torch.arange(1.0, 4001.0).expand(32, -1).clone()
    changed, mask = AudioTiming(RATE, crop=0.2)(values)
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
    changed, mask = AudioDynamics(RATE, (power, power))(values)
    assert mask is None
    loud, weak = (changed[:, part].norm(dim=1) for part in (slice(200, 1800), slice(2200, 3800)))
    measured = 20 * torch.log10(loud / weak)
    torch.testing.assert_close(measured, torch.full((4,), distance_db), atol=0.3, rtol=0)
    torch.testing.assert_close(changed.norm(dim=1), values.norm(dim=1), rtol=1e-5, atol=0)


def test_aliasing_mirrors_what_a_converter_without_a_filter_would() -> None:
    high = tones(3500)
    folded, mask = AudioFilter(RATE, aliasing=(2, 2))(high)
    assert mask is None
    assert loudest_hertz(folded[0]) == pytest.approx(500, abs=2)
    # what every second sample of a sound holds is its spectrum, folded
    whole, _ = AudioFilter(RATE, aliasing=(1, 1))(high)
    torch.testing.assert_close(whole[:, 200:-200:2], high[:, 200:-200:2], atol=0.05, rtol=0)
    low, _ = AudioFilter(RATE, aliasing=(0, 0))(tones(500))
    torch.testing.assert_close(low, tones(500), atol=0.1, rtol=0)
    gone, _ = AudioFilter(RATE, aliasing=(0, 0))(high)
    assert gone.square().mean() < 0.01


BATCH, SAMPLES = 6, 4000
DRAWS = [  # of each step, with the functions and shapes that training has always drawn
    (AudioDynamics(RATE, (-0.3, 1)), [(torch.rand, (BATCH, 1))]),
    (
        AudioTiming(RATE, speed_semitones=3),
        [(torch.rand, (2, BATCH)), (torch.rand, (BATCH,)), (torch.rand, (2, BATCH))],
    ),
    (AudioFilter(RATE, equaliser_db=4), [(torch.randn, (BATCH, 1, 8))]),
    (
        AudioFilter(RATE, (0, 3), 6, (300, 1500), (0.05, 0.4)),
        [
            (torch.rand, (BATCH, 1)),
            (torch.rand, (BATCH, 1)),
            (torch.randn, (BATCH, int(0.4 * RATE / 2) + 1)),
            (torch.rand, (BATCH, 1)),
            (torch.randn, (BATCH, 1, 8)),
            (torch.rand, (2, BATCH, 1)),
        ],
    ),
    (
        AudioNoise((5, 40)),
        [(torch.randn, (BATCH, 4096)), (torch.rand, (BATCH, 1)), (torch.rand, (BATCH, 1))],
    ),
    (AudioGain(6), [(torch.rand, (BATCH,))]),
]


@pytest.mark.parametrize(("step", "draws"), DRAWS)
def test_draws_of_a_step_stay_what_they_were_so_that_a_run_can_be_repeated(
    step: Augment, draws: list
) -> None:
    ours, theirs = (torch.Generator().manual_seed(11) for _ in range(2))
    step(torch.randn(BATCH, SAMPLES), None, ours)
    for draw, shape in draws:
        draw(shape, generator=theirs)
    assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize(
    "step",
    [
        AudioDynamics(RATE, (-0.3, 1)),
        AudioFilter(RATE, (0, 3), 6, (300, 1500), (0.05, 0.4)),
        AudioNoise((5, 40)),
        AudioGain(6),
    ],
    ids=lambda step: type(step).__name__,
)
def test_no_mask_is_a_mask_of_all(step: Augment) -> None:
    values, _ = batch_of("audio")
    plain, none = step(values, None, torch.Generator().manual_seed(2))
    whole = torch.ones_like(values, dtype=torch.bool)
    masked, kept = step(values, whole, torch.Generator().manual_seed(2))
    assert none is None
    assert kept is whole
    assert torch.equal(plain, masked)


def test_timing_without_a_mask_is_that_of_whole_sounds() -> None:
    values, _ = batch_of("audio")
    step = AudioTiming(RATE, 0.1, 4, 0.1)
    plain, mask = step(values, None, torch.Generator().manual_seed(2))
    whole = torch.ones_like(values, dtype=torch.bool)
    masked, kept = step(values, whole, torch.Generator().manual_seed(2))
    assert torch.equal(plain, masked)
    assert torch.equal(mask, kept)


def test_order_of_the_steps_counts() -> None:
    values = tones(500)
    gain, noise = AudioGain(6), AudioNoise((0, 0))
    first, _ = Chain([gain, noise])(values, None, torch.Generator().manual_seed(0))
    second, _ = Chain([noise, gain])(values, None, torch.Generator().manual_seed(0))
    assert not torch.allclose(first, second)


def test_silent_sounds_stay_finite() -> None:
    values, mask = torch.zeros(6, 4000), batch_of("audio")[1]
    changed, kept = STRONG["audio"](values, mask, torch.Generator().manual_seed(0))
    assert torch.isfinite(changed).all()
    assert kept is not None
    assert changed.abs().max() < 1e-3


STEPS = [
    AudioTiming(RATE, 0.1, 4, 0.1),
    AudioFilter(RATE, (0, 3), 6, (300, 1500), (0.05, 0.4)),
    AudioNoise((5, 40)),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_batch_worked_on_in_parts_is_that_worked_on_at_once(
    step: Augment, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, mask = batch_of("audio")
    changed = []
    for cached in (1, 9000, 10**9):
        monkeypatch.setattr(base, "CACHED_VALUES", cached)
        changed.append(step(values, mask, torch.Generator().manual_seed(2)))
    for some, kept in changed[1:]:
        torch.testing.assert_close(some, changed[0][0], rtol=1e-4, atol=1e-5)
        assert torch.equal(kept, changed[0][1])


@pytest.mark.parametrize("shape", [(1, 1), (5, 100), (128, 20_000), (3, 10**6), (4, 0)])
def test_parts_hold_every_row_once(shape: tuple[int, int]) -> None:
    rows = torch.arange(shape[0])
    values = torch.empty(1, 1).expand(shape)
    assert torch.equal(torch.cat([rows[part] for part in parts(values)]), rows)


def test_sounds_of_one_sample_stay_finite() -> None:
    for step in STEPS:
        changed, _ = step(torch.ones(3, 1), None, torch.Generator().manual_seed(0))
        assert torch.isfinite(changed).all()
