"""The four modalities and the file names they usually have.

File names are a hint for listing folders only; what a file *is* comes from its content
(:mod:`mmembed.media.probe`).
"""

from __future__ import annotations

from typing import Literal, get_args

Modality = Literal["image", "audio", "video", "text"]

MODALITIES: tuple[Modality, ...] = get_args(Modality)

SUFFIXES: dict[Modality, frozenset[str]] = {
    "image": frozenset(
        [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"]
    ),
    "audio": frozenset(
        [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma"]
    ),
    "video": frozenset(
        [
            ".mp4",
            ".m4v",
            ".webm",
            ".mkv",
            ".avi",
            ".mov",
            ".mpg",
            ".mpeg",
            ".ts",
            ".3gp",
            ".flv",
            ".wmv",
        ]
    ),
    "text": frozenset({".txt"}),
}


def modality_of_suffix(suffix: str) -> Modality | None:
    """Return the modality that files ending in ``suffix`` (``".jpg"``) usually have, if any."""
    suffix = suffix.lower()
    return next((m for m in MODALITIES if suffix in SUFFIXES[m]), None)
