"""Encrypted tracks are refused by name, whichever container they are in."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from mmembed.errors import MediaError
from mmembed.media.audio import decode_audio
from mmembed.media.probe import probe
from mmembed.media.video import decode_video

Make = Callable[..., Any]


def refused(data: bytes, name: str) -> None:
    for decode in (probe, decode_audio, lambda source: decode_video(source, [0.0])):
        with pytest.raises(MediaError, match=rf"is encrypted by {name}.*\. Take a copy"):
            decode(data)


@pytest.fixture(scope="module")
def m4a(tone: Make, encode_sound: Make) -> bytes:
    return encode_sound(tone(1), "aac", "ipod")


def test_common_encryption(numbered: Make, tone: Make, write_sound: Make) -> None:
    file = io.BytesIO()
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "0" * 32,
        "encryption_kid": "1" * 32,
    }
    with av.open(file, "w", format="mp4", options=options) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        voice = output.add_stream("aac", rate=16000)
        voice.layout = "mono"
        for i, picture in enumerate(numbered(25)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = i
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        write_sound(output, voice, tone(1))
    refused(file.getvalue(), "MPEG's common encryption")


def test_fairplay(m4a: bytes) -> None:
    assert m4a.count(b"mp4a\0\0\0\0\0\0\0\1") == 1
    refused(m4a.replace(b"mp4a\0\0\0\0\0\0\0\1", b"drms\0\0\0\0\0\0\0\1"), "FairPlay")


def test_the_name_of_an_encrypted_track_elsewhere_encrypts_nothing(m4a: bytes) -> None:
    title = m4a.replace(b"SoundHandler", b"drms encv en")
    assert title != m4a
    assert np.array_equal(decode_audio(title).samples, decode_audio(m4a).samples)


@pytest.mark.parametrize(
    "guid", ["fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"]
)
def test_rights_management_of_windows_media(guid: str, tone: Make, encode_sound: Make) -> None:
    data = encode_sound(tone(1, 44100, (440.0, 440.0)), "wmav2", "asf", 44100, {"b": "64000"})
    assert probe(data).modality == "audio"
    texts = [b"secret", b"DRM\0", b"key\0", b"http://example.com\0"]
    body = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    added = bytes.fromhex(guid) + struct.pack("<Q", 24 + len(body)) + body
    size, count = struct.unpack("<QI", data[16:28])
    head = data[:16] + struct.pack("<QI", size + len(added), count + 1) + data[28:30]
    refused(head + added + data[30:], "Windows Media's rights management")


def element(identity: str, body: bytes | int) -> bytes:
    """An element of Matroska (RFC 8794), a number or bytes."""
    content = body.to_bytes(4, "big") if isinstance(body, int) else body
    return bytes.fromhex(identity) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def matroska(samples: np.ndarray, encodings: bytes) -> bytes:
    """A Matroska file of 16-bit sound at 8 kHz, whose track has some encodings."""
    head = element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    sound = element("b5", struct.pack(">d", 8000)) + element("9f", 1) + element("6264", 16)
    track = element("d7", 1) + element("73c5", 1) + element("83", 2)
    track += element("86", b"A_PCM/INT/LIT") + element("e1", sound) + encodings
    block = element("a3", b"\x81\0\0\x80" + samples.astype("<i2").tobytes())
    segment = element("1549a966", element("2ad7b1", 1_000_000))
    segment += element("1654ae6b", element("ae", track))
    segment += element("1f43b675", element("e7", 0) + block)
    return element("1a45dfa3", head) + element("18538067", segment)


def test_encryption_of_matroska() -> None:
    samples = np.arange(-4000, 4000)
    plain = matroska(samples, b"")
    assert np.array_equal(decode_audio(plain).samples[0] * 32768, samples)
    key = element("5035", element("47e1", 5) + element("47e2", b"0123456789abcdef"))
    one = element("5031", 0) + element("5032", 1) + element("5033", 1) + key
    refused(matroska(samples, element("6d80", element("6240", one))), "Matroska's encryption")
