"""Measures what decoding just what is needed saves; writes medians side by side.

Usage::

    python benchmarks/decode.py [--rounds 7]

It makes its own media: a 12-megapixel photograph (textured, as JPEG), ten minutes of sound in
several formats, and a minute of 720p video. It knows nothing of models or data sets.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from page import conditions, write_section
from PIL import Image

from mmembed.media.audio import decode_audio
from mmembed.media.image import decode_image
from mmembed.media.probe import probe
from mmembed.media.spans import Span, uniform_times
from mmembed.media.video import decode_video

RATE, MINUTES, FPS = 44100, 10, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="runs that a median is taken of")
    rounds = parser.parse_args().rounds
    lines = ["| file | all of it, ms | what is needed, ms | share | probe, ms |"]
    lines.append("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path, whole, part in cases(Path(folder)):
            all_ms, part_ms, probe_ms = (
                median_ms(run, rounds) for run in (whole, part, lambda path=path: probe(path))
            )
            lines.append(
                f"| {name} | {all_ms:.1f} | {part_ms:.1f} | {part_ms / all_ms:.1%} "
                f"| {probe_ms:.2f} |"
            )
    table = "\n".join(lines)
    said = conditions("av", "pillow", "soundfile")
    write_section(
        "decode",
        f"## Decoding just what is needed\n\n`benchmarks/decode.py`, medians of {rounds} runs; "
        f"{said}\n\n{table}",
    )
    print(table)


def cases(folder: Path) -> list[tuple[str, Path, Callable[[], object], Callable[[], object]]]:
    """Name, file, decoding the whole, decoding what is needed."""
    photo = photograph(folder / "photo.jpg")
    rows: list[tuple[str, Path, Callable[[], object], Callable[[], object]]] = [
        (
            "12-megapixel JPEG to 224 px",
            photo,
            lambda: shrunk(decode_image(photo)),
            lambda: shrunk(decode_image(photo, min_side=224)),
        )
    ]
    span = Span(0, 400.0, 410.0)
    for path in sounds(folder):
        rows.append(
            (
                f"10 s of {MINUTES} min {path.suffix[1:]} to 16 kHz mono",
                path,
                lambda path=path: decode_audio(path, sample_rate=16000, channels=1),
                lambda path=path: decode_audio(path, span, sample_rate=16000, channels=1),
            )
        )
    clip = video(folder / "clip.mp4")
    every = [i / FPS for i in range(60 * FPS)]
    few = uniform_times(Span(0, 20.0, 30.0), 8)
    rows.append(
        (
            "8 frames of 10 s of 1 min 720p",
            clip,
            lambda: decode_video(clip, every, min_side=112),
            lambda: decode_video(clip, few, min_side=112),
        )
    )
    return rows


def shrunk(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((299, 224), Image.Resampling.BICUBIC)


def photograph(path: Path) -> Path:
    """A picture of 4000 x 3000 with detail at every scale, as a camera would save it."""
    rng = np.random.default_rng(0)
    layers = np.zeros((3000, 4000, 3), np.float32)
    for side in (4, 16, 64, 256, 1024):
        noise = rng.integers(0, 256, (side * 3 // 4, side, 3), np.uint8)
        layers += np.asarray(Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC))
    Image.fromarray((layers / 5).astype(np.uint8)).save(path, quality=90)
    return path


def sounds(folder: Path) -> list[Path]:
    time_ = np.arange(RATE * 60 * MINUTES, dtype=np.float32) / RATE
    mono = 0.4 * np.sin(2 * np.pi * (200 + 50 * np.sin(time_)) * time_)
    mono += 0.05 * np.random.default_rng(0).standard_normal(len(time_), np.float32)
    paths = [folder / f"sound.{suffix}" for suffix in ("wav", "flac", "mp3", "m4a")]
    for path in paths[:2]:
        soundfile.write(path, np.stack([mono, mono], 1), RATE)
    for path, codec in ((paths[2], "libmp3lame"), (paths[3], "aac")):
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=RATE, layout="stereo")
            resampler = av.AudioResampler(
                stream.format.name, "stereo", RATE, frame_size=stream.frame_size or 1152
            )
            for start in range(0, len(mono), RATE):
                part = np.ascontiguousarray(np.stack([mono[start : start + RATE]] * 2), np.float32)
                frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                for piece in resampler.resample(frame):
                    output.mux(stream.encode(piece))
            output.mux(stream.encode(None))
    return paths


def video(path: Path) -> Path:
    rng = np.random.default_rng(0)
    wall = np.asarray(
        Image.fromarray(rng.integers(0, 256, (45, 100, 3), np.uint8)).resize((2800, 720))
    )
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(60 * FPS):
            view = np.ascontiguousarray(wall[:, i : i + 1280])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        output.mux(stream.encode(None))
    path.write_bytes(file.getvalue())
    return path


def median_ms(run: Callable[[], object], rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
