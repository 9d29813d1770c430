"""One run at a time writes to a dataset, or one a shard; the lock ends with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmembed.errors import StoreError
from mmembed.paths import Place, RemotePath
from mmembed.store.dataset_files import LOCK, has_file, names_in


@contextmanager
def locked(folder: Place, share: str = "") -> Iterator[None]:
    """Keep other runs out of a dataset while inside; at a URL there is nothing that could.

    Args:
        folder: the dataset; it has to be there.
        share: name of a share of the work; shares of other names may write at the same time. Empty
            for all of it, which keeps all shares out.

    Raises:
        StoreError: another run is writing to it, the folder can't be written to, or its lock is
            no regular file.
    """
    if isinstance(folder, RemotePath):
        yield
        return
    own = folder / (f"{LOCK}-{share}" if share else LOCK)
    lock = _taken(own, folder)
    try:
        shares = [name for name in names_in(folder) if name.startswith(f"{LOCK}-")]
        for name in [LOCK] if share else shares:
            _taken(folder / name, folder).release()
        yield
    finally:
        lock.release()


def _taken(path: Path, folder: Path) -> FileLock:
    has_file(path)  # a link would lead the lock elsewhere
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(
            f"{folder}: another run is writing to it. Wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise StoreError(f"{folder}: can't be written to: {error.strerror}") from None
    return lock
