"""Files that appear whole or not at all, on disk or at a URL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line, reason
from mmembed.paths import Place, RemotePath
from mmembed.store.dataset_files import PARTIAL

OBJECT_STORES = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})  # an object is there whole or not


def write_whole(path: Place, write: Callable[[Path], object], mark: str = "") -> None:
    """Let ``write`` fill a file, and put it in the place of ``path`` when it is whole.

    On disk that is a hidden file beside it, flushed and renamed; at a URL an upload.

    Args:
        path: the file.
        write: fills a file whose path it is given.
        mark: stands in the name of the hidden file: something of one's own where several write
            ``path`` at the same time. Without it, a file that a killed run left is written over.

    Raises:
        StoreError: the disk is full, or the folder can't be written to.
    """
    if isinstance(path, RemotePath):
        _upload(path, write)
        return
    partial = path.with_name(f".{path.name}{mark}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a link would lead what is written elsewhere
        partial.open("xb").close()
        try:
            write(partial)
            flush(partial)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        flush(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror or error}") from None


def _upload(path: RemotePath, write: Callable[[Path], object]) -> None:
    whole_at_once = path.root.partition("://")[0] in OBJECT_STORES
    target = path if whole_at_once else path.with_name(f".{path.name}{PARTIAL}")
    files = path.filesystem
    try:
        with tempfile.TemporaryDirectory(prefix="mmembed-") as folder:
            local = Path(folder) / path.name
            write(local)
            if not whole_at_once:
                files.create_dir(path.parent.inside, recursive=True)
            with pa.memory_map(str(local)) as content:
                stream = files.open_output_stream(target.inside)
                stream.write(content.read_buffer())
                stream.close()
        if not whole_at_once:
            files.move(target.inside, path.inside)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: can't be written: {one_line(error)}") from None


def move_over(folder: Place, name: str, target: str) -> None:
    """Give a file of a folder the name of another one there, which then is gone.

    On disk that is for good once the folder is flushed.

    Raises:
        StoreError: it can't be moved.
    """
    try:
        if isinstance(folder, RemotePath):
            folder.filesystem.move((folder / name).inside, (folder / target).inside)
        else:
            os.replace(folder / name, folder / target)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{folder / target}: can't be written: {reason(error)}") from None


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: that fails.
    """
    if path.is_dir() and os.name == "nt":
        return  # a folder can't be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
