"""A media file: opened once, its format told once, and read by one decoder after another.

Nothing is decoded here. A file on disk is read through its descriptor, so that libsndfile and
FFmpeg read it themselves, without opening it again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import IO, Any

from mmembed.errors import MediaError, Stage
from mmembed.media.formats import Content, sniff
from mmembed.media.remote_file import RemoteFile, part_of_file
from mmembed.modality import Modality
from mmembed.paths import RemotePath


@dataclass(frozen=True)
class MediaInfo:
    """Modality, format, size and length of one file.

    A field is None where it does not apply or the file does not say.

    Attributes:
        modality: of :mod:`mmembed.modality`.
        format: by content, in lower case: ``jpeg``, ``wav``, ``mp4`` …
        width: pixels as shown, after rotation by EXIF or the display matrix.
        height: pixels as shown.
        begin_seconds: when the pictures of a video begin; 0 but for those that begin late.
        duration_seconds: when the sound or the pictures end: time 0 is the first sample or frame.
        declared_seconds: when headers say they end, if the file clearly stops before that.
        fps: average frames a second.
        sample_rate: of the sound (track), in Hz.
        channels: of the sound (track).
        has_audio: whether there is sound.
        sound_begin_seconds: when the sound track of a video begins.
        sound_seconds: when the sound track of a video ends.
        text: the content of a text file, or of a cell that holds a text or ids.
    """

    modality: Modality
    format: str
    width: int | None = None
    height: int | None = None
    begin_seconds: float = 0.0
    duration_seconds: float | None = None
    declared_seconds: float | None = None
    fps: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    has_audio: bool = False
    sound_begin_seconds: float = 0.0
    sound_seconds: float | None = None
    text: str | None = None

    @property
    def lasts_seconds(self) -> float | None:
        """The end of the sound or of the pictures, whichever ends later."""
        ends = [end for end in (self.duration_seconds, self.sound_seconds) if end is not None]
        return max(ends, default=None)


class MediaFile:
    """A media file that is open for reading, until it is closed or its ``with`` block ends.

    One decoder reads it at a time, each from its beginning.

    Args:
        source: a path, a URL, or the encoded file as ``bytes``.

    Attributes:
        name: how errors name it: its path or URL, or ``<bytes>``.
        info: what :func:`~mmembed.media.probe.probe` told of it; None before that is asked.
        index: what :func:`~mmembed.media.packet_index.packet_index` told of it, likewise.

    Raises:
        MediaError: (stage ``probe``) no such file, a folder, or not readable.
        OSError: there is no such file at the URL, or it can't be read.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes | RemotePath) -> None:
        self.info: MediaInfo | None = None
        self.index: Any = None
        self._content: bytes | RemoteFile | io.FileIO
        if isinstance(source, bytes):
            self.name, self._content = "<bytes>", source
        elif isinstance(source, RemotePath):
            self.name, self._content = str(source), RemoteFile(source)
        else:
            self.name = os.fspath(source)
            self._content = _open(self.name)

    @classmethod
    def of_cell(cls, name: str, modality: Modality, content: str) -> MediaFile:
        """Return a cell of a manifest as a file, which needs no probing.

        Args:
            name: how errors name it.
            modality: of what it holds.
            content: the text, or ids as :mod:`mmembed.store.cells` writes them.
        """
        file = cls(content.encode("utf-8", "surrogatepass"))
        file.name, file.info = name, MediaInfo(modality, "cell", text=content)
        return file

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return self.name

    def __fspath__(self) -> str:
        """Return the path of a file on disk, for loaders of others, which open it themselves."""
        if not isinstance(self._content, io.FileIO):
            raise TypeError(f"{self.name}: has no path on this machine; read its stream()")
        return self.name

    def close(self) -> None:
        """Close the file; nothing can be read after that."""
        if not isinstance(self._content, bytes):
            self._content.close()

    @cached_property
    def sniffed(self) -> tuple[Modality, str] | None:
        """The likely modality and the format (``("image", "jpeg")``), None if unknown.

        Only magic bytes are read (and, for text, the whole of a file that ends in ``.txt``); a
        modality that another package added is told after mmembed's own. A
        container that may hold either (MP4, WebM, MKV, AVI …) is taken for a video here.

        Raises:
            MediaError: not readable.
        """
        return None if self._known is None else self._known[:2]

    @cached_property
    def _known(self) -> Content | None:
        return sniff(self.read_at, os.path.splitext(self.name)[1].lower())

    @property
    def begin_bytes(self) -> int:
        """Place of the content, behind tags or junk that its decoder would stumble over."""
        return 0 if self._known is None else self._known.begin

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        content = self._content
        if isinstance(content, io.FileIO):
            return os.fstat(content.fileno()).st_size
        return len(content) if isinstance(content, bytes) else content.size_bytes

    def read_at(self, offset: int, count: int, *, stage: Stage = "probe") -> bytes:
        """Return up to ``count`` bytes from ``offset`` on, all of them if it is negative.

        A decoder that reads the file meanwhile is not disturbed.

        Raises:
            MediaError: not readable.
        """
        content = self._content
        if isinstance(content, bytes):
            return content[offset : offset + count] if count >= 0 else content[offset:]
        try:
            if isinstance(content, RemoteFile):
                return content.read_at(offset, count)
            rest = max(0, os.fstat(content.fileno()).st_size - offset)
            count = rest if count < 0 else min(count, rest)  # headers may declare any length
            return self._read(content, count, offset) if count else b""
        except (OSError, ValueError) as error:
            raise MediaError(self.name, stage, f"can't be read: {error}") from None

    def stream(self) -> IO[bytes]:
        """Return a file object at the beginning of the content, for one reader at a time."""
        content, begin = self._content, self.begin_bytes
        if isinstance(content, bytes):
            return _Memory(content[begin:])
        if begin:
            return part_of_file(self.read_at, begin, self.size_bytes)
        if isinstance(content, RemoteFile):
            return content.file()
        return open(self._rewound(content), "rb", closefd=False)

    def descriptor_or_stream(self) -> int | IO[bytes]:
        """Return what a C library reads: the descriptor of a file on disk, else a file object."""
        content = self._content
        if isinstance(content, io.FileIO) and not self.begin_bytes:
            return self._rewound(content)
        return self.stream()

    def _read(self, file: io.FileIO, count: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(file.fileno(), count, offset)
        with open(self.name, "rb") as again:  # on Windows a read moves the one position there is
            again.seek(offset)
            return again.read(count)

    @staticmethod
    def _rewound(file: io.FileIO) -> int:
        file.seek(0)
        return file.fileno()


Source = str | os.PathLike[str] | bytes | RemotePath | MediaFile
"""A path, the encoded file in memory, a URL, or a file that is open."""


@contextmanager
def opened(source: Source) -> Iterator[MediaFile]:
    """Open a file, and close it in the end; one that is open is taken as it is, and stays open.

    Raises:
        MediaError: as :class:`MediaFile`.
        OSError: as :class:`MediaFile`.
    """
    if isinstance(source, MediaFile):
        yield source
        return
    with MediaFile(source) as file:
        yield file


class _Memory(io.BytesIO):
    """Bytes as a file; a seek before the beginning, which broken headers cause, goes there."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return super().seek(max(0, offset) if whence == os.SEEK_SET else offset, whence)


def _open(path: str) -> io.FileIO:
    try:
        file = io.FileIO(path)
        try:
            file.seek(0)
        except OSError:  # a pipe: decoders seek
            file.close()
            raise
    except FileNotFoundError:
        raise MediaError(path, "probe", "no such file. Check the path.") from None
    except IsADirectoryError:
        message = "is a folder, not a file. Name a file in it."
        raise MediaError(path, "probe", message) from None
    except (OSError, ValueError) as error:
        raise MediaError(path, "probe", f"can't be read: {error}") from None
    return file
