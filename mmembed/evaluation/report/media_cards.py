"""The pictures and sounds of a page, most important first, within a number of bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmembed.evaluation.items import Items
from mmembed.evaluation.report.item_words import display_of
from mmembed.evaluation.report.media_files import MediaFiles, Reason
from mmembed.evaluation.report.thumbnails import (
    LONGEST_SECONDS,
    Thumbnail,
    Wanted,
    smaller,
    thumbnails,
)
from mmembed.media.guarded_pool import GuardedPool, default_workers
from mmembed.media.task_outcome import Done, Failure

SHORTEST_SECONDS = 1.5
SECOND_BYTES = 6_000  # of sound, about
SOUND_SHARE = 0.45  # of the bytes, at most
ENTRY_BYTES = 12  # of a key and its quotes, commas and colon
SEEN = ("picture", "waveform", "frames")
FILE_SECONDS = 60.0  # for one file, before it counts as broken
MEMORY_BYTES = 4 << 30  # of a process that decodes
AHEAD = 4  # files that each process has waiting


@dataclass(frozen=True)
class MediaCards:
    """Pictures and sounds of the page.

    Attributes:
        pictures: data URI by index of the item.
        sounds: likewise.
        shrunk: number of pictures that were made smaller to keep the page small.
        dropped: number of pictures that were left out for that.
        silent: number of sounds that were left out for that.
    """

    pictures: dict[int, str]
    sounds: dict[int, str]
    shrunk: int = 0
    dropped: int = 0
    silent: int = 0


def media_cards(
    items: Items, gallery: Sequence[int], points: Sequence[int], files: MediaFiles
) -> tuple[dict[int, Thumbnail], list[str]]:
    """Return thumbnails of items, most important first, and a sentence on each kind not shown.

    Args:
        items: all of them.
        gallery: indices of those in the gallery, most important first; they can be heard.
        points: indices of those on the map.
        files: where the media are.
    """
    shown = [i for i in dict.fromkeys([*gallery, *points]) if display_of(items, i) in SEEN]
    heard = {i for i in gallery if display_of(items, i) == "waveform"}
    seconds = sound_seconds(len(heard))
    wanted: dict[int, Wanted] = {}
    paths = items.files()
    unshown: Counter[Reason] = Counter()
    for index in shown:
        path = files.find(str(paths[index]))
        if isinstance(path, str):
            unshown[path] += 1
            continue
        start, end = float(items.start[index]), float(items.end[index])
        span = (start, end) if np.isfinite([start, end]).all() else None
        length = seconds if index in heard else 0.0
        wanted[index] = Wanted(path, display_of(items, index), span, length, items.region[index])
    made = _thumbnails(wanted)
    unshown["broken"] = sum(not made[index].picture for index in wanted)
    sentences = [files.sentence(reason, count) for reason, count in unshown.items() if count]
    return {index: made.get(index, Thumbnail()) for index in shown}, sentences


def _thumbnails(wanted: Mapping[int, Wanted]) -> dict[int, Thumbnail]:
    """Return the thumbnail of each file; one that crashes its decoder has an empty one."""
    made: dict[int, Thumbnail] = {}
    if not wanted:
        return made
    waiting = list(wanted.items())[::-1]
    workers = min(default_workers(), len(wanted))
    preload = [thumbnails.__module__]
    with GuardedPool[int, Wanted, Thumbnail](
        thumbnails, workers, FILE_SECONDS, preload, memory_bytes=MEMORY_BYTES
    ) as pool:
        while waiting or pool.in_flight:
            while waiting and pool.in_flight < AHEAD * workers:
                pool.submit(*waiting.pop())
            index, thumb = pool.wait()
            if isinstance(thumb, Failure):
                made[index] = Thumbnail()
            elif not isinstance(thumb, Done):
                made[index] = thumb
    return made


def sound_seconds(sounds: int, budget: float = 3e6) -> float:
    """Return the seconds of each sound with which all stay within about ``budget`` bytes."""
    if sounds == 0:
        return LONGEST_SECONDS
    return float(np.clip(budget / (sounds * SECOND_BYTES), SHORTEST_SECONDS, LONGEST_SECONDS))


def fit(made: dict[int, Thumbnail], budget: float) -> MediaCards:
    """Return the pictures and sounds that fit into ``budget`` bytes.

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
    return MediaCards(pictures, sounds, max(0, shrunk - dropped), dropped, silent)


def _bytes(data: dict[int, str]) -> int:
    return sum(len(uri) + ENTRY_BYTES for uri in data.values())
