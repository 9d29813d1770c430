"""Side data and metadata of frames that a library has no name for cost nothing."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mmembed.media.pixels import UPRIGHT
from mmembed.media.probe import probe
from mmembed.media.video import decode_video

Make = Callable[..., Any]


def motion_jpeg(picture: bytes, count: int = 5) -> bytes:
    """An AVI file of one JPEG, repeated."""
    file = io.BytesIO()
    size = Image.open(io.BytesIO(picture)).size
    with av.open(file, "w", format="avi") as output:
        stream = output.add_stream("mjpeg", rate=25)
        (stream.width, stream.height), stream.pix_fmt = size, "yuvj420p"
        output.start_encoding()
        for i in range(count):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, i, i, True
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("turned", range(1, 9))
def test_frames_with_exif_are_upright(turned: int, picture: Make, colours: Make) -> None:
    image, exif = colours(), Image.Exif()
    exif[0x010F], exif[0x0112] = "cam", turned
    data = motion_jpeg(picture("JPEG", image, exif=exif, quality=95))
    frames = decode_video(data, [0.0, 0.1]).frames
    shown = np.asarray(image if turned == 1 else image.transpose(UPRIGHT[turned]))
    assert frames.shape[1:] == shown.shape
    assert np.abs(frames[0].astype(int) - shown).mean() < 8
    assert probe(data).fps == 25


def test_damaged_exif_costs_no_picture(picture: Make, colours: Make) -> None:
    plain = decode_video(motion_jpeg(picture("JPEG", colours())), [0.0]).frames
    exif = Image.Exif()
    exif[0x010F] = "cam"
    whole = picture("JPEG", colours(), exif=exif)
    at = whole.find(b"Exif\0\0") + 6
    for broken in (b"\xff" * 8, struct.pack("<2sHI", b"II", 42, 1 << 30), b"rubbish!"):
        data = motion_jpeg(whole[:at] + broken + whole[at + 8 :])
        assert np.array_equal(decode_video(data, [0.0]).frames, plain)
