"""Encryption of tracks: decoders would make noise and grey frames of them, and no error."""

from __future__ import annotations

import re
from typing import Any

from mmembed.media.container_headers import ReadAt, movie_box

ENTRY = re.compile(  # of an encrypted track (ISO 14496-12 §8.5.2), six zeros, one reference
    rb"(enca|encv|drms|drmi)\0{6}\0\x01"
)


def encryption(container: Any, read_at: ReadAt) -> str:
    """Return the name of what encrypts a track of a container, empty if none is encrypted.

    Args:
        container: a PyAV input container.
        read_at: reads its file.
    """
    if container.format.name.startswith("mov"):
        entry = ENTRY.search(movie_box(read_at))
        fair = entry is not None and entry[1].startswith(b"drm")
        return "" if entry is None else "FairPlay" if fair else "MPEG's common encryption"
    if {"ASF_Protection_Type", "encryption"} & set(container.metadata):
        return "Windows Media's rights management"
    if any("enc_key_id" in stream.metadata for stream in container.streams):
        return "Matroska's encryption"
    return ""
