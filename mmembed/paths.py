"""Folders and files on disk or at a URL (``s3://…``, ``gs://…``), for reading and for listing.

S3, Google Cloud Storage, Azure and HDFS go through ``pyarrow.fs``, everything else that fsspec
knows (``memory://``, ``hf://``, ``sftp://`` …) through fsspec. What a file holds, and how one is
written whole, is said elsewhere.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mmembed.errors import ConfigError, UnreachableError
from mmembed.errors.plain_text import one_line, plain, redacted, without_user

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib leaves one slash of two
NATIVE = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})


class RemotePath:
    """A file or folder at a URL, with the part of :class:`pathlib.Path` that is needed here.

    It can be pickled: the connection is made anew in each process, and shared in it.

    Args:
        root: URL of the bucket or host: ``s3://bucket``, with ``?endpoint_override=…`` and other
            options of ``pyarrow.fs`` if need be.
        path: below the root, without a slash at either end.
    """

    def __init__(self, root: str, path: str = "") -> None:
        self.root, self.path = root, path.strip("/")

    @classmethod
    def parse(cls, url: str) -> RemotePath:
        """Read a URL.

        Raises:
            ConfigError: no file system is known for it.
        """
        parts = urlsplit(url, allow_fragments=False)
        query = f"?{parts.query}" if parts.query else ""
        path = cls(f"{parts.scheme}://{parts.netloc}{query}", parts.path)
        _ = path.filesystem
        return path

    @property
    def filesystem(self) -> Any:
        """The ``pyarrow.fs.FileSystem`` that it is on."""
        return _filesystem(self.root)[0]

    @property
    def inside(self) -> str:
        """Its path on :attr:`filesystem`."""
        base = _filesystem(self.root)[1]
        return "/".join(part for part in (base, self.path) if part)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return os.path.splitext(self.name)[1]

    @property
    def parent(self) -> RemotePath:
        """The folder that it is in."""
        return RemotePath(self.root, self.path.rpartition("/")[0])

    def with_name(self, name: str) -> RemotePath:
        """Return another file of the same folder."""
        return self.parent / name

    def __truediv__(self, below: str) -> RemotePath:
        return RemotePath(self.root, f"{self.path}/{below}")

    def __str__(self) -> str:
        """Return the URL without options, and without a name and password in it."""
        bare = self.root.partition("?")[0]
        return without_user(f"{bare}/{self.path}" if self.path else bare)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemotePath):
            return NotImplemented
        return (self.root, self.path) == (other.root, other.path)

    def __hash__(self) -> int:
        return hash((self.root, self.path))

    def __lt__(self, other: RemotePath) -> bool:
        return (self.root, self.path) < (other.root, other.path)

    def exists(self) -> bool:
        """Return whether there is a file or folder."""
        return self._kind() != "NotFound"

    def is_dir(self) -> bool:
        """Return whether it is a folder, or a bucket."""
        return self._kind() == "Directory"

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self._kind() == "File"

    def _kind(self) -> str:
        return self.info().type.name

    def info(self) -> Any:
        """Return its ``pyarrow.fs.FileInfo``."""
        with self._reached():
            return self.filesystem.get_file_info(self.inside)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Name the URL in whatever goes wrong inside, but for a file that is not there."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # fsspec's back ends raise what they like
            raise UnreachableError(f"{self}: can't be reached: {one_line(error)}") from None

    def entries(self) -> list[Any]:
        """Return a ``pyarrow.fs.FileInfo`` for each file and folder in it, by name.

        Raises:
            OSError: it can't be listed.
        """
        from pyarrow.fs import FileSelector

        with self._reached():
            selected = FileSelector(self.inside, allow_not_found=True)
            infos = self.filesystem.get_file_info(selected)
        return sorted((info for info in infos if info.base_name), key=lambda info: info.base_name)

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what is in the folder, by name; nothing if it is not there."""
        for info in self.entries():
            yield self / info.base_name

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield the files that ``folder/pattern`` names; only the last part may have wildcards."""
        below, _, last = pattern.rpartition("/")
        folder = self / below if below else self
        for path in folder.iterdir():
            if fnmatchcase(path.name, last):
                yield path

    def open(self) -> Any:
        """Open the file for reading at any place (``pyarrow.NativeFile``).

        Raises:
            OSError: no such file, or it can't be read.
        """
        with self._reached():
            return self.filesystem.open_input_file(self.inside)

    def read_bytes(self) -> bytes:
        """Return all of the file.

        Raises:
            OSError: no such file, or it can't be read.
        """
        with self._reached(), self.filesystem.open_input_stream(self.inside) as stream:
            return stream.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return all of a file of text."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file.

        Raises:
            OSError: it can't be removed, or there is none and that is not ``missing_ok``.
        """
        try:
            with self._reached():
                self.filesystem.delete_file(self.inside)
        except FileNotFoundError:
            if not missing_ok:
                raise


Place = Path | RemotePath


def place(given: str | os.PathLike[str] | RemotePath) -> Place:
    """Return where a path or URL points to.

    Raises:
        ConfigError: no file system is known for a URL, or it can't be read.
    """
    if isinstance(given, RemotePath):
        return given
    text = os.fspath(given)
    if text.startswith("file://"):
        return Path(text[len("file://") :])
    return RemotePath.parse(text) if "://" in text else Path(text)


def is_url(given: str | os.PathLike[str]) -> bool:
    """Return whether this is a URL, be it one that was taken for a path."""
    return URL.match(os.fspath(given)) is not None


def shown(given: str | os.PathLike[str] | RemotePath) -> str:
    """Return a path or URL as text for people: a URL without a name, a password and options.

    Control characters are shown as text; what can't be read as a URL loses what may be a secret.
    """
    if isinstance(given, RemotePath):
        return plain(given)
    text = os.fspath(given)
    if is_url(text):  # blanks in it are part of it
        text = redacted("%20".join(text.split()))
    return plain(text)


@functools.cache
def _filesystem(root: str) -> tuple[Any, str]:
    """Return the file system of a bucket or host, and the path of the root on it."""
    from pyarrow import fs

    scheme = root.partition("://")[0]
    try:
        if scheme in NATIVE:
            return fs.FileSystem.from_uri(root)
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(root)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path.strip("/")
    except Exception as error:  # fsspec's back ends raise what they like
        raise ConfigError(f"{shown(root)}: {one_line(error)}") from None
