"""Decodes sound files and the sound tracks of videos, whole or one span, exact to a sample.

WAV, FLAC and AIFF go through libsndfile, everything else through FFmpeg
(:mod:`mmembed.media.ffmpeg_sound`). It knows nothing of spectrograms, padding or models.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

import numpy as np

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.declared_length import CLOSE_SECONDS
from mmembed.media.ffmpeg_sound import FFmpegReader, ffmpeg_reader
from mmembed.media.file import Source, opened
from mmembed.media.resample import fit, mix, needed_range, resample
from mmembed.media.sample_reader import SampleReader
from mmembed.media.sndfile_sound import ERRORS, SndfileReader, sndfile_reader
from mmembed.media.spans import Span


@dataclass(frozen=True)
class Waveform:
    """Sound: float32 ``samples (channels, samples)`` at ``sample_rate`` Hz.

    Integer formats are scaled to [-1, 1]; lossy and floating-point ones may go slightly beyond.
    ``start_seconds`` is the place of the first sample in the file.
    """

    samples: np.ndarray
    sample_rate: int
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32 or self.sample_rate < 1:
            raise ValueError(
                f"a waveform holds float32 (channels, samples) at a rate in Hz, got "
                f"{self.samples.dtype} {self.samples.shape} at {self.sample_rate}"
            )


def decode_audio(
    source: Source,
    span: Span | None = None,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    allow_truncated: bool = False,
) -> Waveform:
    """Decode a sound file, the sound track of a video, or one span, to ``(channels, samples)``.

    A span equals the slice ``[round(start * rate), round(end * rate))`` of the whole, resampled or
    not; what reaches beyond the end of the file is left out. In a video, times count from the
    first frame or sample, whichever is earlier.

    Args:
        source: a path, a URL, the encoded file as ``bytes``, or a file that is open.
        span: the wanted part, None for the whole.
        sample_rate: rate in Hz to resample to, None to keep the file's own.
        channels: 1 for the plain mean of all channels, another count to repeat mono or mix by
            libswresample's matrix, None to keep the file's own.
        allow_truncated: take what there is of a file that stops early.

    Raises:
        MediaError: (stage ``decode``) not sound, corrupt, without samples, with NaN or infinite
            samples.
        TruncatedError: it stops clearly before the end that its header declares.
    """
    with closing(
        decode_spans(
            source,
            [span],
            sample_rate=sample_rate,
            channels=channels,
            allow_truncated=allow_truncated,
        )
    ) as waveforms:
        return next(waveforms)


def decode_spans(
    source: Source,
    spans: Iterable[Span | None],
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    allow_truncated: bool = False,
) -> Generator[Waveform]:
    """Decode spans one after another, each as :func:`decode_audio` does it, in one pass.

    Args:
        source: as of :func:`decode_audio`.
        spans: in the order of their starts.
        sample_rate: as of :func:`decode_audio`.
        channels: as of :func:`decode_audio`.
        allow_truncated: as of :func:`decode_audio`.

    Raises:
        MediaError: as :func:`decode_audio`.
        TruncatedError: as :func:`decode_audio`.
    """
    with opened(source) as file, ExitStack() as stack:
        reader: SampleReader | None = stack.enter_context(sndfile_reader(file))
        for span in spans:
            samples, first = None, 0
            if isinstance(reader, SndfileReader):
                with suppress(*ERRORS):  # where libsndfile stumbles, FFmpeg tells
                    samples, first = _read(reader, span, sample_rate)
            if samples is None:
                if not isinstance(reader, FFmpegReader):
                    reader = stack.enter_context(ffmpeg_reader(file))
                samples, first = _read(reader, span, sample_rate)
            assert reader is not None
            rates = (reader.sample_rate, sample_rate or reader.sample_rate)
            _check_end(file.name, reader, span, allow_truncated)
            mixed = mix(samples, channels or len(samples))
            cut, start = fit(mixed, first, span, rates)
            yield _checked(file.name, reader, span, Waveform(cut, rates[1], start / rates[1]))


def convert(
    waveform: Waveform, *, sample_rate: int | None = None, channels: int | None = None
) -> Waveform:
    """Return a waveform at another rate and channel count; itself if it already is.

    Mono is the plain mean of all channels, taken before resampling; the new length is
    ``round(samples * sample_rate / waveform.sample_rate)``.
    """
    rate = sample_rate or waveform.sample_rate
    if rate == waveform.sample_rate and channels in (None, len(waveform.samples)):
        return waveform
    mixed = mix(waveform.samples, channels or len(waveform.samples))
    return Waveform(resample(mixed, waveform.sample_rate, rate), rate, waveform.start_seconds)


def _read(
    reader: SampleReader, span: Span | None, sample_rate: int | None
) -> tuple[np.ndarray, int]:
    first, stop = needed_range(span, reader.sample_rate, sample_rate or reader.sample_rate)
    return reader.read(first, stop), first


def _check_end(name: str, reader: SampleReader, span: Span | None, allow_truncated: bool) -> None:
    """Refuse a span that reaches to the end of a file that stops early."""
    if allow_truncated:
        return
    end = reader.position / reader.sample_rate if reader.finished else reader.end_seconds
    declared = reader.missed_end_seconds()
    if declared is not None and (span is None or span.end_seconds > end - CLOSE_SECONDS):
        message = (
            f"stops after {end:.1f} s of {declared:.1f} s. Re-encode it, or allow truncated files."
        )
        raise TruncatedError(name, message, reader.decoder, end)


def _checked(name: str, reader: SampleReader, span: Span | None, waveform: Waveform) -> Waveform:
    if not waveform.samples.shape[1]:
        end = reader.position / reader.sample_rate
        if span is None or end <= 0:
            raise MediaError(name, "decode", "holds no samples. Leave it out.", reader.decoder)
        message = (
            f"ends at {end:.2f} s, so there is nothing in the span "
            f"{span.start_seconds:.2f}-{span.end_seconds:.2f} s. Cut it by its duration, or "
            "allow truncated files."
        )
        raise TruncatedError(name, message, reader.decoder, end)
    if not np.isfinite(waveform.samples).all():
        message = "holds NaN or infinite samples. Export it again as integer PCM."
        raise MediaError(name, "decode", message, reader.decoder)
    return replace(waveform, samples=np.ascontiguousarray(waveform.samples))
