"""Measures what all spans of a long file cost beside decoding it once; writes medians side by side.

Usage::

    python benchmarks/one_pass.py [--minutes 20] [--rounds 3]

It makes its own media: a video with one key frame, one with a key frame every two seconds, and
sound as FLAC, MP3 and AAC. PyAV decodes every frame on one thread and converts none; mmembed cuts
the file into spans of 10 s, and decodes 8 frames of each at up to twice 224 px, or all samples;
beside it, it makes their values (224 px, or 16 kHz mono) as its decode processes do. torchcodec and
soundfile stand beside where they are installed.
"""

from __future__ import annotations

import argparse
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

from mmembed.media.audio import decode_spans
from mmembed.media.file import MediaFile
from mmembed.media.probe import probe
from mmembed.media.spans import Span, uniform_times
from mmembed.media.video import decode_clips
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess

RATE, FPS, SIZE = 44100, 25, (640, 360)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=20, help="length of each file")
    parser.add_argument("--rounds", type=int, default=3, help="runs that a median is taken of")
    options = parser.parse_args()
    lines = [
        "| file | PyAV, every frame, s | all spans, s | ratio | and their values, s | others, s |"
    ]
    lines.append("|---|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path, preprocess in files(Path(folder), options.minutes):
            rivals = others(path, name)
            runs: dict[str, Callable[[], object]] = {
                "plain": lambda path=path: plain(path),
                "spans": lambda path=path, each=preprocess: spans(path, each),
                "values": lambda path=path, each=preprocess: values(path, each),
                **rivals,
            }
            taken: dict[str, list[float]] = {kind: [] for kind in runs}
            for _ in range(options.rounds):  # in turn: what disturbs one disturbs all
                for kind, run in runs.items():
                    began = time.perf_counter()
                    run()
                    taken[kind].append(time.perf_counter() - began)
            seconds = {kind: statistics.median(each) for kind, each in taken.items()}
            ratio = statistics.median(
                mine / theirs for mine, theirs in zip(taken["spans"], taken["plain"], strict=True)
            )
            beside = ", ".join(f"{kind} {seconds[kind]:.1f}" for kind in rivals) or "—"
            lines.append(
                f"| {options.minutes} min {name} | {seconds['plain']:.1f} "
                f"| {seconds['spans']:.1f} | {ratio:.2f} | {seconds['values']:.1f} | {beside} |"
            )
            print(lines[-1], flush=True)
    table = "\n".join(lines)
    said = conditions("av", "soundfile")
    write_section(
        "one_pass",
        f"## All spans of a long file in one pass\n\n`benchmarks/one_pass.py`, medians of "
        f"{options.rounds} runs in turn; {said}\n\n{table}",
    )


def files(folder: Path, minutes: int) -> list[tuple[str, Path, Preprocess]]:
    clips = VideoPreprocess(ImagePreprocess(224), frames=8)
    return [
        ("H.264 with one key frame", film(folder / "one.mp4", minutes, FPS * 60 * minutes), clips),
        ("H.264, a key frame every 2 s", film(folder / "many.mp4", minutes, 2 * FPS), clips),
        *((path.suffix[1:], path, AudioPreprocess()) for path in sounds(folder, minutes)),
    ]


def film(path: Path, minutes: int, group: int) -> Path:
    rng = np.random.default_rng(0)
    wall = rng.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    wall = wall.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as output:
        options = {"g": str(group), "sc_threshold": "0", "preset": "veryfast"}
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(FPS * 60 * minutes):
            picture = np.roll(wall, 2 * number, axis=1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def sounds(folder: Path, minutes: int) -> list[Path]:
    second = np.arange(RATE, dtype=np.float32) / RATE
    rng = np.random.default_rng(0)
    paths = [folder / f"sound.{suffix}" for suffix in ("flac", "mp3", "m4a")]
    codecs = ("libmp3lame", "aac")
    with soundfile.SoundFile(paths[0], "w", RATE, 2) as flac:
        outputs = [av.open(str(path), "w") for path in paths[1:]]
        streams = [
            output.add_stream(codec, rate=RATE, layout="stereo")
            for output, codec in zip(outputs, codecs, strict=True)
        ]
        resamplers = [
            av.AudioResampler(stream.format.name, "stereo", RATE, stream.frame_size or 1152)
            for stream in streams
        ]
        for number in range(60 * minutes):
            part = 0.4 * np.sin(2 * np.pi * (200 + number % 400) * second)
            part = np.stack([part + 0.05 * rng.standard_normal(RATE, np.float32)] * 2)
            flac.write(part.T)
            for output, stream, resampler in zip(outputs, streams, resamplers, strict=True):
                frame = av.AudioFrame.from_ndarray(part.astype(np.float32), "fltp", "stereo")
                frame.sample_rate, frame.pts = RATE, number * RATE
                frame.time_base = Fraction(1, RATE)
                for piece in resampler.resample(frame):
                    output.mux(stream.encode(piece))
        for output, stream in zip(outputs, streams, strict=True):
            output.mux(stream.encode(None))
            output.close()
    return paths


def plain(path: Path) -> None:
    """Decode every frame on one thread, and look at none."""
    with av.open(str(path)) as container:
        stream = (container.streams.video or container.streams.audio)[0]
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        for packet in container.demux(stream):
            packet.decode()


def spans(path: Path, preprocess: Preprocess) -> None:
    """Decode what all spans hold, at the file's own rate."""
    with MediaFile(str(path)) as file:
        cuts = [span for span in preprocess.spans(probe(file)) if isinstance(span, Span)]
        if isinstance(preprocess, AudioPreprocess):
            for _ in decode_spans(file, cuts):
                pass
        elif isinstance(preprocess, VideoPreprocess):
            times = [uniform_times(span, preprocess.frames) for span in cuts]
            for _ in decode_clips(file, times, min_side=preprocess.image.size):
                pass


def values(path: Path, preprocess: Preprocess) -> None:
    """Make the values of all spans, as a decode process does."""
    with MediaFile(str(path)) as file:
        for media in preprocess.stream(file, preprocess.spans(probe(file))):
            preprocess(media)


def others(path: Path, name: str) -> dict[str, Callable[[], object]]:
    """Plain reading by other libraries."""
    rivals: dict[str, Callable[[], object]] = {}
    if name in ("flac", "mp3"):
        rivals["soundfile"] = lambda: [0 for _ in soundfile.blocks(path, 1 << 18, dtype="float32")]
    try:
        from torchcodec.decoders import AudioDecoder, VideoDecoder
    except (ImportError, RuntimeError, OSError):
        return rivals
    if path.suffix == ".mp4":
        rivals["torchcodec"] = lambda: [0 for _ in VideoDecoder(path, num_ffmpeg_threads=1)]
    else:
        rivals["torchcodec"] = lambda: AudioDecoder(path).get_all_samples()
    return rivals


if __name__ == "__main__":
    main()
