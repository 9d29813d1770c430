"""Sounds become mono values of one rate, and a long one is cut without loss."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.errors import ConfigError, TruncatedError
from mmembed.media.audio import Waveform
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.spans import Span
from mmembed.preprocess.audio import AudioPreprocess


def wav(seconds: float, rate: int = 11025, channels: int = 2, format: str = "WAV") -> bytes:
    rng, file = np.random.default_rng(3), io.BytesIO()
    samples = rng.uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(file, samples, rate, format=format, subtype="PCM_16")
    return file.getvalue()


LONG = {format: wav(5.3, format=format) for format in ("WAV", "FLAC")}


@pytest.mark.parametrize("format", ["WAV", "FLAC"])
@pytest.mark.parametrize("rate", [8000, 11025, 16000])
def test_a_long_sound_cut_is_the_whole_sound_cut(format: str, rate: int) -> None:
    preprocess = AudioPreprocess(rate, 1.0, 1.0, 0.5)
    source = LONG[format]
    whole = preprocess(preprocess.load(source))
    spans = preprocess.spans(probe(source))
    assert len(spans) == 5
    cut = [preprocess(preprocess.load(source, span)) for span in spans]
    assert sum(map(len, cut)) == len(whole)
    assert np.abs(np.concatenate(cut) - whole).max() <= 1e-6


@pytest.mark.parametrize("hop", [1.0, 0.4])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_spans_decoded_together_are_those_decoded_alone(hop: float, count: int) -> None:
    preprocess = AudioPreprocess(8000, 1.0, hop, 0.2)
    for source in LONG.values():
        spans = preprocess.spans(probe(source))[:count]
        together = list(preprocess.stream(source, spans))
        assert len(together) == count
        for waveform, span in zip(together, spans, strict=True):
            alone = preprocess.load(source, span)
            assert np.abs(waveform.samples - alone.samples).max() <= 1e-6
            assert waveform.start_seconds == alone.start_seconds


def test_a_whole_file_among_spans_is_loaded_as_it_is() -> None:
    preprocess = AudioPreprocess(8000)
    (waveform,) = preprocess.stream(LONG["WAV"], [None])
    assert np.array_equal(waveform.samples, preprocess.load(LONG["WAV"]).samples)


def test_a_span_past_the_end_says_where_the_file_ends() -> None:
    preprocess = AudioPreprocess(8000, 1.0, 1.0)
    spans = [Span(0, 4.0, 5.0), Span(1, 7.0, 8.0)]
    with pytest.raises(TruncatedError, match=r"ends at 5\.30 s"):
        list(preprocess.stream(LONG["WAV"], spans))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 48000), st.floats(0.01, 3.0), st.integers(0, 10**6), st.integers(0, 10**5))
def test_padding_depends_on_the_item_alone_and_covers_it(
    rate: int, bucket_seconds: float, length: int, more: int
) -> None:
    if bucket_seconds * rate < 1:
        with pytest.raises(ConfigError, match="bucket_seconds .* must be positive"):
            AudioPreprocess(rate, bucket_seconds=bucket_seconds)
        return
    preprocess = AudioPreprocess(rate, bucket_seconds=bucket_seconds)
    bucket, padded = round(bucket_seconds * rate), preprocess.padded_length(length)
    assert padded % bucket == 0
    assert max(length, bucket) <= padded < max(length, 1) + bucket
    assert preprocess.padded_length(padded) == padded
    assert preprocess.padded_length(length + more) >= padded
    assert preprocess.bucket(np.zeros(length, np.float32)) == padded


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 3),
    st.integers(1, 4000),
    st.sampled_from([4000, 8000, 11025, 44100]),
)
def test_values_are_the_mean_of_the_channels_at_one_rate(
    channels: int, length: int, rate: int
) -> None:
    rng = np.random.default_rng(length)
    samples = rng.uniform(-1, 1, (channels, length)).astype(np.float32)
    preprocess = AudioPreprocess(8000)
    values = preprocess(Waveform(samples, rate))
    assert values.dtype == np.float32
    assert values.shape == (round(length * 8000 / rate),)
    mono = preprocess(Waveform(samples.mean(0, keepdims=True), rate))
    assert np.abs(values - mono).max(initial=0) <= 1e-5
    if rate == 8000:
        assert np.abs(values - samples.mean(0)).max() <= 1e-6


def test_a_tone_keeps_its_pitch_at_another_rate() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
    values = AudioPreprocess(8000)(Waveform(tone[None], 44100))
    spectrum = np.abs(np.fft.rfft(values))
    assert int(spectrum.argmax()) == 440


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sample_rate": 0}, "sample_rate 0 and bucket_seconds 1.0 must be positive"),
        ({"bucket_seconds": 0.0}, "bucket_seconds 0.0 must be positive"),
        ({"hop_seconds": 0.0}, "needs 0 < hop_seconds <= segment_seconds"),
        ({"hop_seconds": 11.0}, "needs 0 < hop_seconds <= segment_seconds .*got 11.0, 10.0"),
        ({"min_seconds": 10.5}, "min_seconds <= segment_seconds, got 10.0, 10.0 and 10.5"),
        ({"min_seconds": -0.1}, "and -0.1"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=f"AudioPreprocess: .*{says}"):
        AudioPreprocess(**wrong)


def test_the_sound_of_a_video_is_as_long_as_its_track() -> None:
    preprocess = AudioPreprocess(8000, 1.0, 1.0)
    video = MediaInfo("video", "mp4", duration_seconds=4.0, has_audio=True, sound_seconds=2.5)
    assert preprocess.begin_and_end(video) == (0.0, 2.5)
    assert len(preprocess.spans(video)) == 3
    silent = MediaInfo("video", "mp4", duration_seconds=4.0)
    assert preprocess.begin_and_end(silent) == (0.0, 4.0)
    sound = MediaInfo("audio", "wav", duration_seconds=4.0, sound_seconds=2.5)
    assert preprocess.begin_and_end(sound) == (0.0, 4.0)


def test_a_track_that_begins_late_is_cut_from_there() -> None:
    preprocess = AudioPreprocess(8000, 1.0, 1.0, 0.1)
    late = MediaInfo(
        "video", "mkv", duration_seconds=9.0, sound_begin_seconds=4.0, sound_seconds=6.5
    )
    spans = [(span.start_seconds, span.end_seconds) for span in preprocess.spans(late)]
    assert spans == [(4.0, 5.0), (5.0, 6.0), (6.0, 6.5)]
    soon = MediaInfo(
        "video", "ts", duration_seconds=9.0, sound_begin_seconds=0.1, sound_seconds=1.8
    )
    spans = [(span.start_seconds, span.end_seconds) for span in preprocess.spans(soon)]
    assert spans == [(0.0, 1.0), (1.0, 1.8)]  # no track begins at the very same time as another


def test_a_preprocess_is_a_value() -> None:
    one = AudioPreprocess(8000)
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, AudioPreprocess(8000), AudioPreprocess(16000)}) == 2
