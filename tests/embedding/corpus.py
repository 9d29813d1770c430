"""A folder of more than 200 files that are broken, hostile or odd, made from real media."""

from __future__ import annotations

import io
import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

PICTURES = ("png", "jpeg", "webp", "gif", "bmp", "tiff")
SOUNDS = {
    "wav": ("pcm_s16le", "wav"),
    "flac": ("flac", "flac"),
    "ogg": ("libopus", "ogg"),
    "mp3": ("libmp3lame", "mp3"),
    "m4a": ("aac", "ipod"),
}
CLIPS = {
    "mp4": ("libx264", "mp4"),
    "webm": ("libvpx", "webm"),
    "mkv": ("libx264", "matroska"),
    "avi": ("mpeg4", "avi"),
    "mov": ("libx264", "mov"),
}
CUTS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def picture(kind: str, size: tuple[int, int] = (48, 36)) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def sound(codec: str, container: str, seconds: float = 1.5) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(2).normal(0, 0.1, (1, round(16000 * seconds)))
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            out.mux(packet)
    return file.getvalue()


def clip(
    codec: str, container: str, size: tuple[int, int] = (64, 48), times: list[int] | None = None
) -> bytes:
    """A clip of 12 frames; ``times`` are their time stamps in 1/100 s."""
    file, rng = io.BytesIO(), np.random.default_rng(3)
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if codec == "libx264" and (size[0] | size[1]) & 1 else "yuv420p"
        if times:
            stream.codec_context.time_base = Fraction(1, 100)
        for i in range(12):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def wave(samples: np.ndarray, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype=subtype)
    return file.getvalue()


def png_bomb(side: int) -> bytes:
    """A PNG of ``side`` × ``side`` black pixels in a few kilobytes a thousand lines."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer, lines = zlib.compressobj(9), []
    line = bytes(1 + side // 8)
    for _ in range(side):
        lines.append(packer.compress(line))
    data = b"".join(lines) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def flipped(data: bytes, seed: int, bits: int) -> bytes:
    rng, broken = np.random.default_rng(seed), bytearray(data)
    for place in rng.integers(0, len(data), bits):
        broken[place] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def make_corpus(folder: Path) -> tuple[set[str], set[str]]:
    """Write the corpus; return the paths of all files that an embedding has to account for, and
    of those that are sound and must get vectors."""
    good: set[str] = set()
    whole = {kind: picture(kind) for kind in PICTURES}
    whole |= {kind: sound(*how) for kind, how in SOUNDS.items()}
    whole |= {kind: clip(*how) for kind, how in CLIPS.items()}

    def put(name: str, data: bytes, is_good: bool = False) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if is_good:
            good.add(name)

    for number, (kind, data) in enumerate(whole.items()):
        put(f"whole/{kind}.{kind}", data, True)
        for cut in CUTS:
            put(f"cut/{kind}-{cut}.{kind}", data[: int(len(data) * cut)])
        for seed, bits in ((0, 1), (1, 8), (2, 64), (3, 512)):
            put(f"flipped/{kind}-{bits}.{kind}", flipped(data, 10 * number + seed, bits))
        put(f"zeros/{kind}.{kind}", bytes(len(data)))
        put(f"empty/{kind}.{kind}", b"")
        put(f"headed/{kind}.{kind}", data[:64])
    for name, kind in (("a.jpg", "png"), ("b.png", "jpeg"), ("c.mp4", "webp"), ("d.txt", "gif")):
        put(f"named/{name}", whole[kind], True)
    put("named/e.jpg", whole["mp3"], True)
    put("named/f.wav", whole["mp4"], True)
    put("named/g.mp3", whole["flac"], True)
    put("named/h.png", b"just some words\n")
    put("odd/one.png", picture("png", (1, 1)), True)
    put("odd/one.jpg", picture("jpeg", (1, 1)), True)
    put("odd/wide.png", picture("png", (65_000, 1)), True)
    put("odd/high.png", picture("png", (1, 65_000)), True)
    put("odd/clip.mp4", clip("libx264", "mp4", (63, 47)), True)
    put("odd/narrow.mkv", clip("libx264", "matroska", (16, 240)), True)
    put("odd/paces.mkv", clip("libx264", "matroska", times=[3 * i * i for i in range(12)]), True)
    put("bombs/square.png", png_bomb(30_000))
    put("bombs/larger.png", png_bomb(60_000))
    put("bombs/gif.gif", b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + whole["gif"][10:])
    put("bombs/bmp.bmp", whole["bmp"][:18] + struct.pack("<ii", 60_000, 60_000) + whole["bmp"][26:])
    loud = np.random.default_rng(4).normal(0, 0.1, 4000).astype(np.float32)
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus-inf", -np.inf)):
        put(f"numbers/{name}.wav", wave(np.where(np.arange(4000) == 2000, value, loud)))
        put(f"numbers/all-{name}.wav", wave(np.full(4000, value)))
    put("numbers/silent.wav", wave(np.zeros(4000)), True)
    put("numbers/loud.wav", wave(loud * 1e6), True)
    put("short/none.wav", wave(np.zeros(0)))
    put("short/one.wav", wave(np.full(1, 0.5)), True)
    put("short/none.flac", whole["flac"][:42])
    put("short/still.mp4", _without_frames())
    put("short/mute.mp4", whole["mp4"], True)
    put("short/index.avi", whole["avi"][: whole["avi"].rindex(b"idx1")], True)
    put("short/index.mp4", whole["mp4"].replace(b"stco", b"xtco"))
    os.mkfifo(folder / "short/pipe.png")
    (folder / "short/nothing.png").symlink_to(folder / "short/gone.png")
    (folder / "short/circle").symlink_to(folder / "short")
    (folder / "short/folder.png").mkdir()
    with open(os.fsencode(folder) + b"/short/name-\xff\xfe.png", "wb") as file:
        file.write(whole["png"])
    good.add("short/name-\\xff\\xfe.png")
    put("short/new\nline.png", whole["png"], True)
    files = {
        os.fsencode(p.relative_to(folder)).decode("utf-8", "backslashreplace")
        for p in folder.rglob("*")
        if not p.is_dir() and "circle" not in p.parts
    }
    return files | {"short/circle"}, good


def _without_frames() -> bytes:
    """An MP4 whose track of pictures has no samples."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
    return file.getvalue()
