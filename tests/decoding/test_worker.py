"""Spans that are decoded together are what each is alone, wherever the pieces of a file end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mmembed.decoding.messages import DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.media.probe import MediaInfo, probe
from mmembed.preprocess.audio import AudioPreprocess

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


def decoded(path: Path, send_bytes: int) -> dict[int, np.ndarray]:
    """The values of all spans, piece by piece."""
    decoder = Decoder({"audio": SOUND}, send_bytes)
    values: dict[int, np.ndarray] = {}
    first, count = 0, 1
    while first < count:
        (piece,) = decoder([DecodeRequest(str(path), first=first)])
        assert isinstance(piece, Segments), piece
        values |= {span.index: each for span, each in zip(piece.spans, piece.values, strict=True)}
        first, count = first + piece.taken, piece.count
    assert list(values) == list(range(count))
    return values


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a"])
def test_spans_decoded_together_equal_each_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"noise.{kind}", 20)
    info = probe(path)
    alone = {span.index: SOUND(SOUND.load(path, span)) for span in SOUND.spans(info) if span}
    assert SOUND.together(info) > len(alone)
    for read, send_bytes in ((32 << 20, 1), (32 << 20, 8 << 20), (2 << 20, 1), (2 << 20, 400_000)):
        monkeypatch.setattr("mmembed.preprocess.audio.TOGETHER_BYTES", read)
        got = decoded(path, send_bytes)
        assert list(got) == list(alone)
        for index, values in got.items():
            assert values.shape == alone[index].shape
            assert np.abs(values - alone[index]).max() < 1e-5


def test_how_many_spans_are_decoded_together_follows_what_they_take() -> None:
    def together(rate: int, channels: int, **options: float) -> int:
        info = MediaInfo("audio", "wav", duration_seconds=1e5, sample_rate=rate, channels=channels)
        return AudioPreprocess(**options).together(info)

    assert together(16000, 1) == 6
    assert together(48000, 6) == 2
    assert together(192000, 8) == 1
    assert together(44100, 2, segment_seconds=600.0, hop_seconds=600.0) == 1
    assert together(44100, 2, hop_seconds=0.1) == 6
    assert AudioPreprocess().together(MediaInfo("audio", "mp3")) == 1
