"""Pixels that are not square are stretched, so that things keep the shape they are shown in."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from mmembed.media.probe import probe
from mmembed.media.video import decode_video

FPS = 25


@pytest.mark.parametrize(
    ("shape", "shown"), [((4, 3), (43, 32)), ((1, 2), (32, 64)), ((9, 1), (32, 32))]
)
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_pixels_that_are_not_square_are_stretched(
    container: str, shape: tuple[int, int], shown: tuple[int, int]
) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "5"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*shape)
        left = np.zeros((32, 32, 3), np.uint8)
        left[:, :16] = 255
        output.mux(stream.encode(av.VideoFrame.from_ndarray(left, format="rgb24")))
        output.mux(stream.encode(None))
    info = probe(file.getvalue())
    assert (info.width, info.height) == shown
    frame = decode_video(file.getvalue(), [0.0]).frames[0]
    assert frame.shape == (shown[1], shown[0], 3)
    assert frame[:, : shown[0] // 2 - 2].mean() > 235
    assert frame[:, shown[0] // 2 + 2 :].mean() < 20
