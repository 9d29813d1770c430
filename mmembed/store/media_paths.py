r"""Paths in the cells of a manifest: with slashes, with backslashes, or as addresses of files.

A backslash is read as a slash, as manifests from Windows mean it, unless a file is there by the
very name (``audio\cat.wav`` is a good name elsewhere). ``file:///data/my%20cat.wav`` is the path
``/data/my cat.wav``. Any other cell is a path as it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from mmembed.errors import ManifestError
from mmembed.errors.plain_text import brief
from mmembed.paths import Place, RemotePath

ADDRESS = re.compile(r"(?i)file:(?://([^/]*))?(/.*)", re.DOTALL)
THIS_MACHINE = ("", "localhost")


class MediaPaths:
    """Reader of the paths of one manifest; it counts those that are not read as they stand.

    Args:
        source: the manifest; paths are relative to its folder.

    Attributes:
        backslashes: paths of which backslashes were read as slashes.
        addresses: addresses that were read as paths.
    """

    def __init__(self, source: Place) -> None:
        self._source, self._root = source, source.parent
        self.backslashes = self.addresses = 0

    def read(self, cells: Iterable[str | None], column: str) -> list[str | None]:
        """Return the paths in the cells of a column, relative to the root or absolute.

        Raises:
            ManifestError: an address that names no file of this machine.
        """
        return [
            cell
            if cell is None or ("\\" not in cell and cell[:5].lower() != "file:")
            else self._path(cell, f"{self._source}: column {column}, row {row}")
            for row, cell in enumerate(cells)
        ]

    @property
    def notes(self) -> list[str]:
        """Lines on what was read otherwise than it stands there."""
        counts = (
            (self.backslashes, "with backslashes, read as slashes"),
            (self.addresses, "given by address (file://)"),
        )
        return [f"{n:,} path{'s' * (n != 1)} {what}" for n, what in counts if n]

    def _path(self, cell: str, where: str) -> str:
        address = ADDRESS.fullmatch(cell)
        if address is not None:
            path = self._of_address(address, f"{where}: {brief(cell)}")
            self.addresses += 1
            return path
        if "\\" not in cell or self._is_there(cell):
            return cell
        self.backslashes += 1
        return cell.replace("\\", "/")

    def _of_address(self, address: re.Match[str], where: str) -> str:
        if isinstance(self._root, RemotePath):
            raise ManifestError(f"{where} is a file of one machine, and the manifest is at a URL")
        host = address[1] or ""
        if host.lower() not in THIS_MACHINE:
            raise ManifestError(f"{where} is on another machine, {host}; write a path of this one")
        path = unquote_to_bytes(address[2])
        try:
            text = path.decode("utf-8")
        except UnicodeDecodeError:
            raise ManifestError(f"{where} is not UTF-8 once its % are decoded") from None
        if "\0" in text:
            raise ManifestError(f"{where} has a null byte, which no path can have")
        return text

    def _is_there(self, path: str) -> bool:
        if not isinstance(self._root, RemotePath):
            return os.path.lexists(os.path.join(self._root, path))
        try:
            return (self._root / path).exists()
        except Exception:  # whatever its package raises; asked again when the file is read
            return False
