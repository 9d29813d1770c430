"""Spans that are decoded together are what each is alone, wherever the pieces of a file end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mmembed.decoding.worker import Decoder
from mmembed.media.probe import MediaInfo, probe
from mmembed.media.spans import Span
from mmembed.preprocess.audio import AudioPreprocess
from tests.decoding.conftest import ask

RATE = 44100
SOUND = AudioPreprocess(segment_seconds=2.0, hop_seconds=1.5)


def write(path: Path, seconds: int) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, RATE * seconds)).astype(np.float32)
    if path.suffix in (".wav", ".flac"):
        soundfile.write(path, noise.T, RATE)
        return path
    with av.open(str(path), "w") as out:
        codec = "libmp3lame" if path.suffix == ".mp3" else "aac"
        options = {} if codec == "libmp3lame" else {"aac_pns": "0"}  # that noise is drawn anew
        stream = out.add_stream(codec, RATE, options=options)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(noise, "fltp", "stereo")
        frame.sample_rate = RATE
        out.mux([*stream.encode(frame), *stream.encode()])
    return path


def decoded(path: Path, send_bytes: int, first: int = 0) -> dict[int, np.ndarray]:
    """The values of all spans from ``first`` on."""
    pieces = ask(Decoder({"audio": SOUND}, send_bytes), path, first=first)
    values = {
        span.index: each
        for piece in pieces
        for span, each in zip(piece.spans, piece.values, strict=True)
        if isinstance(span, Span)
    }
    assert list(values) == list(range(first, pieces[0].count))
    return values


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a"])
def test_spans_decoded_together_equal_each_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"noise.{kind}", 20)
    info = probe(path)
    alone = {span.index: SOUND(SOUND.load(path, span)) for span in SOUND.spans(info) if span}
    for read, send_bytes, first in (
        (32 << 20, 1, 0),
        (32 << 20, 8 << 20, 5),
        (2 << 20, 1, 0),
        (2 << 20, 400_000, 4),
    ):
        monkeypatch.setattr("mmembed.preprocess.audio.TOGETHER_BYTES", read)
        got = decoded(path, send_bytes, first)
        assert list(got) == list(alone)[first:]
        for index, values in got.items():
            assert values.shape == alone[index].shape
            assert np.abs(values - alone[index]).max() < 1e-5


def test_how_many_spans_are_decoded_together_follows_what_they_take() -> None:
    def together(rate: int, channels: int, **options: float) -> int:
        info = MediaInfo("audio", "wav", duration_seconds=1e5, sample_rate=rate, channels=channels)
        return AudioPreprocess(**options)._together(info)

    assert together(16000, 1) == 6
    assert together(48000, 6) == 2
    assert together(192000, 8) == 1
    assert together(44100, 2, segment_seconds=600.0, hop_seconds=600.0) == 1
    assert together(44100, 2, hop_seconds=0.1) == 6
    assert AudioPreprocess()._together(MediaInfo("audio", "mp3")) == 1
