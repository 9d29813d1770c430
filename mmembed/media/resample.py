"""Arithmetic of sound in memory: mixing channels, changing the rate, cutting spans exactly.

Resampling is libswresample's windowed sinc (through PyAV), fed so that output sample ``i`` lies
at ``i / rate_out`` seconds and silence follows the last sample. Nothing here knows of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
import av.filter
import numpy as np

from mmembed.media.spans import Span

CHUNK_SAMPLES = 1 << 18
CONTEXT_TAPS = 64  # twice libswresample's filter; wider, the longer the period of the lower rate
LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")


def resampled_length(samples: int, rate: int, rate_out: int) -> int:
    """Return ``samples * rate_out / rate``, rounded half up."""
    return (2 * samples * rate_out + rate) // (2 * rate)


def needed_range(span: Span | None, rate: int, rate_out: int) -> tuple[int, int | None]:
    """Return the samples ``[first, stop)`` at ``rate`` that a span at ``rate_out`` rests on.

    With resampling they reach beyond the span by the filter's width, and ``first`` falls on a
    sample of both rates. ``stop`` is None for "to the end".
    """
    if span is None:
        return 0, None
    if rate == rate_out:
        return round(span.start_seconds * rate), round(span.end_seconds * rate)
    common = rate // math.gcd(rate, rate_out)
    context = _context(rate, rate_out)
    first = max(0, math.floor(span.start_seconds * rate) - context) // common * common
    return first, math.ceil(span.end_seconds * rate) + context


def fit(
    samples: np.ndarray, first: int, span: Span | None, rates: tuple[int, int]
) -> tuple[np.ndarray, int]:
    """Resample ``(channels, samples)`` that begin at ``first`` and cut out exactly the span.

    Returns:
        The samples at the second of ``rates``, and the place of the first of them in the file.
    """
    rate, rate_out = rates
    resampled = resample(samples, rate, rate_out)
    if span is None:
        return resampled, 0
    offset = first * rate_out // rate
    start, stop = round(span.start_seconds * rate_out), round(span.end_seconds * rate_out)
    return resampled[:, start - offset : max(start, stop) - offset], start


def resample(samples: np.ndarray, rate: int, rate_out: int) -> np.ndarray:
    """Resample float32 ``(channels, samples)`` to ``(channels, resampled_length(...))``."""
    if rate == rate_out or not samples.shape[1]:
        return samples
    length = resampled_length(samples.shape[1], rate, rate_out)
    tail = np.zeros(2 * _context(rate, rate_out), np.float32)
    channels = [
        _filtered(np.append(channel, tail)[None], (rate, "mono"), ("aresample", str(rate_out)))
        for channel in samples  # one by one: any number of channels, whatever their layout
    ]
    return np.concatenate(channels)[:, :length]


def mix(samples: np.ndarray, channels: int) -> np.ndarray:
    """Mix ``(channels_in, samples)`` to ``(channels, samples)``.

    To mono it is the plain mean (libswresample would weigh and attenuate the channels), from
    mono a repetition, otherwise libswresample's matrix for the usual layouts.

    Raises:
        ValueError: no usual layout has so many channels.
    """
    if channels == len(samples):
        return samples
    if channels == 1:
        return samples.mean(axis=0, dtype=np.float32, keepdims=True)
    if len(samples) == 1:
        return np.repeat(samples, channels, axis=0)
    if max(channels, len(samples)) > len(LAYOUTS) or channels < 1:
        raise ValueError(f"can't mix {len(samples)} channels to {channels}; ask for 1, or for all")
    given, asked = LAYOUTS[len(samples) - 1], LAYOUTS[channels - 1]
    rate = 48000  # any: both sides are the same
    return _filtered(
        samples, (rate, given), ("aresample", f"out_chlayout={asked}:rematrix_maxval=1")
    )


def _context(rate: int, rate_out: int) -> int:
    return math.ceil(CONTEXT_TAPS * max(1.0, rate / rate_out))


def _filtered(
    samples: np.ndarray, rate_and_layout: tuple[int, str], audio_filter: tuple[str, str]
) -> np.ndarray:
    """Send samples through one FFmpeg filter on one thread (its default is one a core)."""
    rate, layout = rate_and_layout
    tick = Fraction(1, rate)
    graph = av.filter.Graph()
    graph.threads = 1
    # channels interleaved: of 8 planes or more PyAV reads beyond their end
    entry = graph.add_abuffer(sample_rate=rate, format="flt", layout=layout, time_base=tick)
    graph.link_nodes(entry, graph.add(*audio_filter), graph.add("abuffersink")).configure()
    out: list[np.ndarray] = []
    for start in range(0, samples.shape[1], CHUNK_SAMPLES):
        chunk = np.ascontiguousarray(samples[:, start : start + CHUNK_SAMPLES].T)
        frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, tick, start
        graph.push(frame)
        out += _pulled(graph)
    graph.push(None)
    return np.concatenate([*out, *_pulled(graph)], axis=1)


def _pulled(graph: av.filter.Graph) -> Iterator[np.ndarray]:
    with suppress(av.BlockingIOError, av.EOFError):
        while True:
            frame = graph.pull()
            assert isinstance(frame, av.AudioFrame)
            yield frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
