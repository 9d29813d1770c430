"""The pictures and sounds of a page, most important first, within a number of bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmembed.evaluation.items import Items
from mmembed.evaluation.page.thumbnails import LONGEST_SECONDS, Thumbnail, smaller, thumbnail
from mmembed.storage import place

SHORTEST_SECONDS = 1.5
SECOND_BYTES = 6_000  # of sound, about
SOUND_SHARE = 0.45  # of the bytes, at most
ENTRY_BYTES = 12  # of a key and its quotes, commas and colon
SEEN = ("image", "audio", "video")


@dataclass(frozen=True)
class MediaCards:
    """What can be seen and heard on the page.

    Attributes:
        pictures: data URI by index of the item.
        sounds: likewise.
        missing: number of items whose file is gone or can't be decoded.
        shrunk: number of pictures that were made smaller to keep the page small.
        dropped: number of pictures that were left out for that.
        silent: number of sounds that were left out for that.
    """

    pictures: dict[int, str]
    sounds: dict[int, str]
    missing: int = 0
    shrunk: int = 0
    dropped: int = 0
    silent: int = 0


def media_cards(
    items: Items, gallery: Sequence[int], points: Sequence[int], media: str | Path | None
) -> dict[int, Thumbnail]:
    """Return thumbnails of items, most important first.

    Args:
        items: all of them.
        gallery: indices of those in the gallery, most important first; they can be heard.
        points: indices of those on the map.
        media: root of the files; None shows none.
    """
    shown = [i for i in dict.fromkeys([*gallery, *points]) if items.modality[i] in SEEN]
    if media is None:
        return dict.fromkeys(shown, Thumbnail())
    heard = {i for i in gallery if items.modality[i] == "audio"}
    seconds = sound_seconds(len(heard))
    root = place(media)

    def make(index: int) -> Thumbnail:
        start, end = float(items.start[index]), float(items.end[index])
        span = (start, end) if np.isfinite([start, end]).all() else None
        return thumbnail(
            root / str(items.path[index]),
            str(items.modality[index]),
            span,
            seconds if index in heard else 0.0,
        )

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(shown, pool.map(make, shown), strict=True))


def sound_seconds(sounds: int, budget: float = 3e6) -> float:
    """Return how long each sound may be so that all of them stay within about ``budget`` bytes."""
    if sounds == 0:
        return LONGEST_SECONDS
    return float(np.clip(budget / (sounds * SECOND_BYTES), SHORTEST_SECONDS, LONGEST_SECONDS))


def fit(made: dict[int, Thumbnail], budget: float) -> MediaCards:
    """Return what fits into ``budget`` bytes.

    Sounds get up to a share of it, the first ones first. Pictures that are too many are shrunk,
    the last ones first; if all are small and too many still, the last ones are left out.

    Args:
        made: thumbnails by index of the item, most important first.
        budget: bytes of all data URIs.
    """
    sounds: dict[int, str] = {}
    left = SOUND_SHARE * budget
    for index, each in made.items():
        if each.sound and len(each.sound) + ENTRY_BYTES <= left:
            sounds[index] = each.sound
            left -= len(each.sound) + ENTRY_BYTES
    silent = sum(1 for each in made.values() if each.sound) - len(sounds)
    pictures = {index: each.picture for index, each in made.items() if each.picture}
    excess = _bytes(pictures) + _bytes(sounds) - budget
    shrunk = dropped = 0
    for index in reversed(list(pictures)):
        if excess <= 0:
            break
        small = smaller(pictures[index])
        if len(small) < len(pictures[index]):
            excess -= len(pictures[index]) - len(small)
            pictures[index] = small
            shrunk += 1
    for index in reversed(list(pictures)):
        if excess <= 0:
            break
        excess -= len(pictures.pop(index)) + ENTRY_BYTES
        dropped += 1
    missing = sum(1 for each in made.values() if not each.picture)
    return MediaCards(pictures, sounds, missing, max(0, shrunk - dropped), dropped, silent)


def _bytes(data: dict[int, str]) -> int:
    return sum(len(uri) + ENTRY_BYTES for uri in data.values())
