"""Sound by libsndfile, which reads formats that are simple enough faster than FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import soundfile

from mmembed.media.declared_length import clearly_short
from mmembed.media.file import MediaFile
from mmembed.media.formats import BY_SOUNDFILE
from mmembed.media.packet_index import packet_index
from mmembed.media.pcm_header import MOST_SAMPLES, declared_share
from mmembed.media.sample_reader import SampleReader

BLOCK_SAMPLES = 1 << 18
OGG_TOLERANCE_SECONDS = 0.25
ERRORS = (soundfile.LibsndfileError, OSError, ValueError)


@contextmanager
def sndfile_reader(file: MediaFile) -> Iterator[SndfileReader | None]:
    """Open a file with libsndfile; None if it isn't its format, or FFmpeg knows more of it.

    That is so where the length was never written, or where less or more is there than it says.
    """
    kind = file.sniffed[1] if file.sniffed else ""
    ogg_seconds = _ogg_seconds(file) if kind == "ogg" else None
    if kind not in BY_SOUNDFILE or (kind == "ogg" and ogg_seconds is None):
        yield None
        return
    try:
        sound = soundfile.SoundFile(file.descriptor_or_stream(), closefd=False)
    except ERRORS:
        yield None
        return
    with sound:
        agreed = 0 < sound.frames < MOST_SAMPLES
        if agreed and kind == "flac":
            agreed = _has_its_end(sound)
        if agreed and ogg_seconds is not None:
            agreed = abs(sound.frames / sound.samplerate - ogg_seconds) <= OGG_TOLERANCE_SECONDS
        yield SndfileReader(sound, file) if agreed else None


def _ogg_seconds(file: MediaFile) -> float | None:
    """Return how long the sound of an Ogg file is by its packets; None if it has pictures too.

    Of several streams, one after another, libsndfile reads the first alone.
    """
    index = packet_index(file)
    if index.pictures is not None or index.sound is None:
        return None
    return index.span(index.sound)[1]


def _has_its_end(sound: soundfile.SoundFile) -> bool:
    """Return whether the last sample that a FLAC's header declares is there; go to the first."""
    try:
        sound.seek(sound.frames - 1)
        there = len(sound.read(1)) == 1
        sound.seek(0)
    except ERRORS:
        return False
    return there


class SndfileReader(SampleReader):
    """The samples of a file that libsndfile reads.

    Attributes:
        frames: how many samples of each channel there are, as far as libsndfile knows.

    Raises:
        soundfile.LibsndfileError: while reading; FFmpeg may get further.
    """

    def __init__(self, sound: soundfile.SoundFile, file: MediaFile) -> None:
        super().__init__()
        self._sound, self._file = sound, file
        self.frames: int = sound.frames
        self.end_seconds = sound.frames / sound.samplerate
        self.sample_rate, self.channels, self.decoder = (
            sound.samplerate,
            sound.channels,
            "libsndfile",
        )

    def decode_on(self) -> None:
        """Read a block."""
        count = min(BLOCK_SAMPLES, self.frames - self.position)
        samples = self._sound.read(max(0, count), "float32", always_2d=True)
        if len(samples):
            self.keep(samples.T)
        else:
            self.finished = True

    def go_near(self, sample: int) -> None:
        """Seek, which libsndfile does to a sample but for Ogg, where it misses the last page."""
        if sample > self.position and not self.finished and self._sound.format != "OGG":
            self.position = min(sample, self.frames)
            self._sound.seek(self.position)

    def check(self) -> None:
        """Do nothing: what libsndfile can't read it refuses at once."""

    def missed_end_seconds(self) -> float | None:
        """Return the end that the header declares, if the file stops clearly before it."""
        declared = self.declared_seconds()
        return declared if clearly_short(self.position / self.sample_rate, declared) else None

    def declared_seconds(self) -> float:
        """Return the length that the header declares, however much of it is there."""
        return self.frames / self.sample_rate * declared_share(self._file)
