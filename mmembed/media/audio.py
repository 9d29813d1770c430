"""Decodes sound files and the sound tracks of videos, whole or one span, exact to a sample.

WAV, FLAC, Ogg Vorbis and AIFF go through libsndfile, everything else through FFmpeg
(:mod:`mmembed.media.ffmpeg_sound`). It knows nothing of spectrograms, padding or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soundfile

from mmembed.errors import MediaError, TruncatedError
from mmembed.media.ffmpeg_sound import Range, Track, decode_track
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.formats import BY_SOUNDFILE
from mmembed.media.pcm_header import MOST_SAMPLES, clearly_short, declared_pcm_seconds
from mmembed.media.resample import fit, mix, needed_range, resample
from mmembed.media.spans import Span

BLOCK_SAMPLES = 1 << 22  # read in blocks: memory follows what is there, not what is declared
OGG_READ_SECONDS = 30.0  # spans that begin later are left to FFmpeg, which seeks Ogg exactly


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

    A span is seeked to, and equals the slice ``[round(start * rate), round(end * rate))`` of the
    whole, resampled or not; what reaches beyond the end of the file is left out. In a video,
    times count from its first frame.

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

    def wanted(rate: int) -> tuple[int, int | None]:
        return needed_range(span, rate, sample_rate or rate)

    with opened(source) as file:
        name = file.name
        track = _by_libsndfile(file, wanted) or decode_track(file, wanted)
    if track.declared_seconds is not None and not allow_truncated:
        message = (
            f"stops after {track.end_seconds:.1f} s of {track.declared_seconds:.1f} s. "
            "Re-encode it, or allow truncated files."
        )
        raise TruncatedError(name, message, track.decoder, track.end_seconds)
    rates = (track.sample_rate, sample_rate or track.sample_rate)
    mixed = mix(track.samples, channels or len(track.samples))
    samples, start = fit(mixed, track.first, span, rates)
    if not samples.shape[1]:
        if span is None or track.end_seconds <= 0:
            raise MediaError(name, "decode", "holds no samples. Leave it out.", track.decoder)
        message = (
            f"ends at {track.end_seconds:.2f} s, so there is nothing in the span "
            f"{span.start_seconds:.2f}-{span.end_seconds:.2f} s. Cut it by its duration, or "
            "allow truncated files."
        )
        raise TruncatedError(name, message, track.decoder, track.end_seconds)
    if not np.isfinite(samples).all():
        message = "holds NaN or infinite samples. Export it again as integer PCM."
        raise MediaError(name, "decode", message, track.decoder)
    return Waveform(np.ascontiguousarray(samples), rates[1], start / rates[1])


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


def _by_libsndfile(media: MediaFile, wanted: Range) -> Track | None:
    """Decode with libsndfile; None if it is not its format, or it stumbles (FFmpeg then tells)."""
    kind = media.sniffed[1] if media.sniffed else ""
    if kind not in BY_SOUNDFILE:
        return None
    try:
        with soundfile.SoundFile(media.descriptor_or_stream(), closefd=False) as file:
            rate, frames = file.samplerate, file.frames
            if not 0 < frames < MOST_SAMPLES:  # a stream, whose length was never filled in
                return None
            first, stop = wanted(rate)
            begin = min(first, frames)
            if kind == "ogg":  # libsndfile misplaces seeks in the last page, so it reads on
                if begin > OGG_READ_SECONDS * rate:
                    return None
                begin = 0
            file.seek(begin)
            count = max(0, min(frames if stop is None else stop, frames) - begin)
            blocks = [np.zeros((0, file.channels), np.float32)]
            while sum(map(len, blocks)) < count:
                blocks.append(file.read(min(count, BLOCK_SAMPLES), "float32", always_2d=True))
                if not len(blocks[-1]):
                    break
            samples = np.concatenate(blocks)[:count].T
    except (soundfile.LibsndfileError, OSError, ValueError):
        return None
    declared = None
    if samples.shape[1] < count:
        frames, declared = begin + samples.shape[1], frames / rate
    else:
        declared = declared_pcm_seconds(media, kind, rate)
    short = clearly_short(frames / rate, declared) and (stop is None or stop > frames)
    return Track(
        samples[:, min(first, frames) - begin :],
        rate,
        first,
        "libsndfile",
        frames / rate,
        declared if short else None,
    )
