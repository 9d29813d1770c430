"""Sound of any format, rate and channels comes out whole or in spans, exact to a sample."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.audio import decode_audio
from mmembed.media.probe import probe
from mmembed.media.spans import Span, cut

RATE = 16000
Make = Callable[..., Any]

# name: codec and container of FFmpeg, sample rate, samples that the encoder may add at the ends
LOSSY = {
    "mp3": ("libmp3lame", "mp3", 16000, 1200),
    "mp3-44k": ("libmp3lame", "mp3", 44100, 2400),
    "m4a": ("aac", "ipod", 44100, 1024),
    "mp4": ("aac", "mp4", 16000, 1024),
    "aac": ("aac", "adts", 16000, 3072),
    "opus": ("libopus", "ogg", 48000, 960),
    "webm": ("libopus", "webm", 48000, 1920),
    "mkv-aac": ("aac", "matroska", 44100, 3072),
    "mkv-mp3": ("libmp3lame", "matroska", 44100, 3600),
    "mov-pcm": ("pcm_s16le", "mov", 22050, 0),
    "avi-mp3": ("libmp3lame", "avi", 44100, 3600),
    "mpegts": ("aac", "mpegts", 44100, 3072),
    "mkv-flac": ("flac", "matroska", 44100, 0),
}
CODED = {  # libsndfile's format and subtype
    "wav": ("WAV", "PCM_16"),
    "wav-24": ("WAV", "PCM_24"),
    "wav-float": ("WAV", "FLOAT"),
    "wav-8": ("WAV", "PCM_U8"),
    "rf64": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
}


@pytest.fixture(scope="module", params=[*LOSSY, *CODED])
def sound(request: pytest.FixtureRequest, tone: Make, encode_sound: Make, pcm: Make) -> Any:
    """(name, bytes, the samples that went in, rate) of seven seconds of sound."""
    if request.param in CODED:
        samples = tone(7, 22050, [440])
        return request.param, pcm(samples, *CODED[request.param], rate=22050), samples, 22050
    codec, container, rate, _ = LOSSY[request.param]
    samples = tone(7, rate, [440])
    options = {"aac_pns": "0", "b": "256k"} if codec == "aac" else {}
    data = encode_sound(samples, codec, container, rate, options)
    return request.param, data, samples, rate


def test_every_format_comes_out_with_its_rate_length_and_shape(sound: Any) -> None:
    name, data, samples, rate = sound
    got = decode_audio(data)
    assert (got.sample_rate, len(got.samples), got.start_seconds) == (rate, 1, 0.0)
    spare = LOSSY[name][3] if name in LOSSY else 0
    assert 0 <= got.samples.shape[1] - samples.shape[1] <= spare
    inner = slice(rate, 6 * rate)
    lag = _lag(got.samples[0], samples[0], spare)
    shifted = got.samples[0, inner.start + lag : inner.stop + lag]
    assert np.abs(shifted - samples[0, inner]).max() < 0.06
    info = probe(data)
    assert (info.modality, info.sample_rate, info.channels) == ("audio", rate, 1)
    assert info.duration_seconds == pytest.approx(7, abs=0.15)


def _lag(got: np.ndarray, reference: np.ndarray, most: int) -> int:
    at = slice(20000, 24000)
    errors = [
        np.abs(got[at.start + i : at.stop + i] - reference[at]).sum() for i in range(most + 1)
    ]
    return int(np.argmin(errors))


@pytest.mark.parametrize("sample_rate", [None, 8000, 44100])
def test_a_span_equals_the_slice_of_the_whole(sound: Any, sample_rate: int | None) -> None:
    _, data, _, _ = sound
    whole = decode_audio(data, sample_rate=sample_rate)
    rate = whole.sample_rate
    seconds = whole.samples.shape[1] / rate
    spans = [*cut(seconds, 2.3, 1.7, 0.5), Span(0, 5.123, 5.2), Span(0, 6.5, 99.0)]
    for span in spans:
        got = decode_audio(data, span, sample_rate=sample_rate)
        first, stop = round(span.start_seconds * rate), round(span.end_seconds * rate)
        expected = whole.samples[:, first:stop]
        assert got.samples.shape == expected.shape, span
        assert np.abs(got.samples - expected).max() < 2e-4, span
        assert got.start_seconds == first / rate


def test_path_and_bytes_give_the_same(sound: Any, tmp_path: Path) -> None:
    _, data, _, _ = sound
    path = tmp_path / "wrong.jpg"
    path.write_bytes(data)
    span = Span(0, 4.0, 5.0)
    from_path, from_bytes = decode_audio(path, span), decode_audio(data, span)
    assert np.array_equal(from_path.samples, from_bytes.samples)


def test_mono_is_the_plain_mean(tone: Make, pcm: Make, encode_sound: Make) -> None:
    stereo = tone(1, RATE, [440, 1000])
    got = decode_audio(pcm(stereo, subtype="FLOAT"), channels=1)
    assert np.allclose(got.samples, stereo.mean(0, keepdims=True), atol=1e-7)
    six = np.eye(6, 400, dtype=np.float32)
    assert np.allclose(decode_audio(pcm(six, subtype="FLOAT"), channels=1).samples, six.mean(0))
    packed = encode_sound(stereo, "pcm_s16le", "mov")
    both = decode_audio(packed).samples
    assert np.allclose(both, stereo, atol=1e-4)
    assert np.allclose(decode_audio(packed, channels=1).samples, both.mean(0), atol=1e-7)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_integers_are_scaled_to_one(subtype: str, pcm: Make) -> None:
    steps = np.array([[-1.0, -0.5, 0.0, 0.5]] * 100, np.float32).reshape(1, -1)
    got = decode_audio(pcm(steps, subtype=subtype)).samples
    assert np.abs(got - steps).max() < 0.01


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_integers_are_scaled_to_one_by_ffmpeg_too(codec: str, encode_sound: Make) -> None:
    steps = np.array([[-1.0, -0.5, 0.0, 0.5]] * 100, np.float32).reshape(1, -1)
    got = decode_audio(encode_sound(steps, codec, "matroska")).samples
    assert np.abs(got - steps).max() < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite_samples_are_refused(value: float, pcm: Make) -> None:
    samples = np.zeros((1, 1000), np.float32)
    samples[0, 500] = value
    with pytest.raises(MediaError, match="holds NaN or infinite samples"):
        decode_audio(pcm(samples, subtype="FLOAT"))


@pytest.mark.parametrize("name", ["wav", "aiff", "flac", "mp3", "m4a", "mkv-aac"])
def test_truncated_sound_is_refused_unless_allowed(
    name: str, tmp_path: Path, tone: Make, encode_sound: Make, pcm: Make, faststart: Make
) -> None:
    samples = tone(8, RATE, [440])
    if name in CODED:
        data = pcm(samples, *CODED[name])
    else:
        codec, container, _, _ = LOSSY[name]
        data = encode_sound(samples, codec, container)
        if name == "m4a":
            data = faststart(data)
    path = tmp_path / f"half.{name}"
    path.write_bytes(data[: len(data) // 2])
    said = r"half\.\S+: stops after [34]\.\d s of 8\.\d s \(decoder: .+\)\. Re-encode it, or allow"
    with pytest.raises(MediaError, match=said) as caught:
        decode_audio(path)
    assert (caught.value.stage, bool(caught.value.decoder)) == ("decode", True)
    with pytest.raises(MediaError, match="stops after"):
        decode_audio(path, Span(0, 2.0, 7.0))
    with pytest.raises(MediaError, match="stops after"):
        decode_audio(path, Span(0, 6.0, 7.0))
    assert decode_audio(path, Span(0, 1.0, 2.0)).samples.shape == (1, RATE)
    allowed = decode_audio(path, allow_truncated=True).samples
    assert 3 * RATE < allowed.shape[1] < 5 * RATE
    info = probe(path)
    assert info.declared_seconds == pytest.approx(8.0, abs=0.1)
    assert info.duration_seconds == pytest.approx(allowed.shape[1] / RATE, abs=0.3)  # a frame
    with pytest.raises(TruncatedError, match="stops after") as caught:  # cut by what is there
        decode_audio(path, Span(1, 3.0, info.duration_seconds))
    assert 3 < caught.value.end_seconds < 5


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF, None])
def test_a_streamed_wav_of_unknown_length_is_taken_to_its_end(
    declared: int, riff: int | None, tone: Make, pcm: Make
) -> None:
    samples = tone(2)
    data = bytearray(pcm(samples))
    data[40:44] = struct.pack("<I", declared)
    if riff is not None:
        data[4:8] = struct.pack("<I", riff)
    assert decode_audio(bytes(data)).samples.shape == samples.shape
    assert probe(bytes(data)).duration_seconds == pytest.approx(2.0, abs=0.01)


def test_a_span_behind_the_end_says_where_the_end_is(tone: Make, pcm: Make) -> None:
    with pytest.raises(MediaError, match=r"ends at 2.00 s, so there is nothing in the span"):
        decode_audio(pcm(tone(2)), Span(0, 3.0, 4.0))


def test_sound_without_samples_is_refused(pcm: Make, encode_sound: Make) -> None:
    with pytest.raises(MediaError, match="holds no samples"):
        decode_audio(pcm(np.zeros((1, 0), np.float32)))


def test_what_has_no_sound_is_refused(
    tmp_path: Path, encode_video: Make, numbered: Make, picture: Make, colours: Make
) -> None:
    with pytest.raises(MediaError, match="<bytes>: has no sound track"):
        decode_audio(encode_video(numbered(5)))
    with pytest.raises(MediaError, match="is jpeg, not sound or video") as caught:
        decode_audio(picture("JPEG", colours()))
    assert caught.value.stage == "decode"
    with pytest.raises(MediaError, match="is of no known format"):
        decode_audio(b"who knows")
    with pytest.raises(MediaError, match="is a folder, not a file"):
        decode_audio(tmp_path)


def test_corrupt_sound_is_refused(tone: Make, encode_sound: Make, pcm: Make) -> None:
    data = bytearray(encode_sound(tone(4), "aac", "adts"))
    for i in range(2000, len(data) - 400, 200):
        data[i : i + 60] = b"\x55" * 60
    with pytest.raises(MediaError, match=r"is corrupt, \d+ packets can't be decoded|can't be dec"):
        decode_audio(bytes(data))
    flac = bytearray(pcm(tone(1), "FLAC"))
    flac[4:] = b"\0" * (len(flac) - 4)
    with pytest.raises(MediaError, match=r"can't be opened|can't be decoded|holds no samples"):
        decode_audio(bytes(flac))


def test_sound_that_changes_its_rate_midway_is_refused(tone: Make, encode_sound: Make) -> None:
    parts = [encode_sound(tone(2, rate), "aac", "adts", rate) for rate in (16000, 44100)]
    with pytest.raises(MediaError, match="changes its rate or channels midway"):
        decode_audio(b"".join(parts))


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "webm"])
def test_the_sound_track_of_a_video_is_its_sound(
    container: str, tone: Make, encode_video: Make, numbered: Make
) -> None:
    samples = tone(3)
    codec = "libvpx-vp9" if container == "webm" else "libx264"
    data = encode_video(numbered(75), codec, container, sound=samples)
    got = decode_audio(data, Span(0, 1.0, 2.0), sample_rate=RATE, channels=1)
    assert got.samples.shape == (1, RATE)
    errors = [
        np.abs(got.samples[0] - samples[0, RATE + lag : 2 * RATE + lag]).max()
        for lag in range(-1200, 1200)
    ]
    assert min(errors) < 0.08
    info = probe(data)
    assert (info.modality, info.has_audio, info.channels) == ("video", True, 1)


def test_vorbis_reads_as_libsndfile_reads_it(tone: Make, pcm: Make) -> None:
    data = pcm(tone(2, RATE, [440, 700]), "OGG", "VORBIS")
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert np.array_equal(decode_audio(data).samples, expected.T)


def test_a_late_span_of_a_long_ogg_equals_the_slice_of_the_whole(tone: Make, pcm: Make) -> None:
    data = pcm(tone(45, 8000), "OGG", "VORBIS", rate=8000)
    whole = decode_audio(data).samples
    for start, end in ((31.0, 33.0), (43.7, 45.0)):
        got = decode_audio(data, Span(0, start, end)).samples
        assert np.abs(got - whole[:, round(start * 8000) : round(end * 8000)]).max() < 1e-5


def test_a_late_span_of_an_ogg_of_long_and_short_blocks_lies_where_it_belongs() -> None:
    """Clicks make Vorbis change its block length, and FFmpeg's time stamps there are wrong."""
    rng, stream = np.random.default_rng(0), io.BytesIO()
    with soundfile.SoundFile(stream, "w", 44100, 1, "VORBIS", format="OGG") as file:
        for _ in range(60):  # libsndfile crashes where it is given much at once
            file.write(np.cumsum(rng.normal(0, 0.01, 44100)) % 1 - 0.5)
    data = stream.getvalue()
    whole = decode_audio(data).samples
    for start in np.arange(31, 59, 0.5):
        got = decode_audio(data, Span(0, start, start + 0.1)).samples
        first = round(start * 44100)
        assert np.abs(got - whole[:, first : first + 4410]).max() < 1e-5, start


def test_a_streamed_flac_of_unknown_length_is_taken_to_its_end(tone: Make, pcm: Make) -> None:
    data = bytearray(pcm(tone(2), "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert decode_audio(bytes(data)).samples.shape == (1, 2 * RATE)
    assert decode_audio(bytes(data), Span(0, 1.0, 1.5)).samples.shape == (1, RATE // 2)
    assert probe(bytes(data)).duration_seconds == pytest.approx(2.0, abs=0.3)
