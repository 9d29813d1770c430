"""Spans that are decoded together are what each is alone, wherever the pieces of a file end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mmembed.decoding.worker import Decoder
from mmembed.media.probe import probe
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
def test_spans_decoded_in_one_pass_equal_each_alone(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"noise.{kind}", 20)
    info = probe(path)
    alone = {span.index: SOUND(SOUND.load(path, span)) for span in SOUND.spans(info) if span}
    for send_bytes, first in ((1, 0), (8 << 20, 5), (400_000, 4)):
        got = decoded(path, send_bytes, first)
        assert list(got) == list(alone)[first:]
        for index, values in got.items():
            assert values.shape == alone[index].shape
            assert np.abs(values - alone[index]).max() < 1e-5
