"""Rows of avdigits planned: the digit, voice, modalities and split of each.

Pure planning: knows neither pixels nor samples, and writes nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from avdigits_speech import Recording

from mmembed.errors import ManifestError

SPLITS = ("train", "val", "test")
SHARES = {"val": 0.06, "test": 0.2}  # of the digits and of the voices; the rest is for training
MISSING = 0.1  # how often a row lacks each of its modalities


@dataclass(frozen=True)
class Row:
    """One row of the manifest, before its media are made.

    Args:
        digit: 0 to 9.
        split: ``train``, ``val`` or ``test``.
        image: which of the handwritten digits, if any.
        recording: who says it, if a recording does.
        seen, heard, filmed: whether the row has an image, audio, video.
    """

    digit: int
    split: str
    image: int | None = None
    recording: Recording | None = None
    seen: bool = True
    heard: bool = True
    filmed: bool = True


def share_recordings(
    recordings: list[Recording], test_speaker: str | None
) -> dict[str, list[Recording]]:
    """Return the recordings of each split that real voices speak.

    Every tenth take of a training speaker goes to validation. ``test_speaker="all"`` gives every
    recording to the test split and none to the others.

    Raises:
        ManifestError: a split would stay without recordings.
    """
    if not recordings:
        return {}
    if test_speaker == "all":
        return {"test": recordings}
    shares: dict[str, list[Recording]] = {split: [] for split in SPLITS}
    for each in recordings:
        training = "train" if each.take % 10 else "val"
        shares["test" if each.speaker == test_speaker else training].append(each)
    empty = [split for split, share in shares.items() if not share]
    if empty:
        speakers = ", ".join(sorted({each.speaker for each in recordings}))
        raise ManifestError(
            f"--test-speaker {test_speaker}: leaves no recording for {', '.join(empty)}. "
            f"The speakers are {speakers}; 'all' takes every one of them for the test."
        )
    return shares


def share_voices(families: list[list[str]], seed: int) -> dict[str, list[str]]:
    """Return the voices of each split; voices of one family stay together."""
    order = np.random.default_rng([seed, 2]).permutation(len(families))
    test, val = (max(round(len(families) * SHARES[split]), 1) for split in ("test", "val"))
    parts = dict(zip(SPLITS[::-1], np.split(order, [test, test + val]), strict=True))
    return {
        split: sorted(voice for index in part for voice in families[index])
        for split, part in parts.items()
    }


def plan_rows(
    labels: np.ndarray,
    images: int,
    recordings: dict[str, list[Recording]],
    seed: int,
    utterances: int = 1,
) -> list[Row]:
    """Return the rows in random order, as many of each digit, each image and recording used once.

    Args:
        labels: the digit of each image, int ``(images,)``.
        images: how many of the images to use.
        recordings: the splits that real voices speak, see :func:`share_recordings`.
        seed: of the shuffling and of what is missing.
        utterances: synthetic ones for each image of the training split. Rows with nothing but
            sound hold what goes beyond the first, or all of them where recordings fill the split.
    """
    rng = np.random.default_rng([seed, 0])
    rows: list[Row] = []
    for digit in range(10):
        indices = rng.permutation(np.flatnonzero(labels == digit))[: max(images // 10, 3)]
        test, val = (max(round(len(indices) * SHARES[split]), 1) for split in ("test", "val"))
        parts = {
            "test": indices[:test],
            "val": indices[test:][:val],
            "train": indices[test + val :],
        }
        for split, part in parts.items():
            spoken = [each for each in recordings.get(split, []) if each.digit == digit]
            order = [spoken[index] for index in rng.permutation(len(spoken))]
            for image, recording in itertools.zip_longest(part.tolist(), order):
                row = Row(digit, split, image, recording, heard=split not in recordings)
                rows.append(_take_away(row, rng))
            if split == "train":
                alone = utterances if split in recordings else utterances - 1
                rows += [Row(digit, split, seen=False, filmed=False)] * (len(part) * alone)
    return [rows[index] for index in rng.permutation(len(rows))]


def _take_away(row: Row, rng: np.random.Generator) -> Row:
    """Return ``row`` without the modalities that it can't have or that chance takes; never bare."""
    seen, heard, filmed = (bool(draw >= MISSING) for draw in rng.random(3))
    if row.recording is not None:
        heard = True  # recordings are few: none is left out
    elif not row.heard:
        heard = False
    if row.image is None:
        seen = filmed = False
    elif not (seen or heard or filmed):
        seen = True
    return replace(row, seen=seen, heard=heard, filmed=filmed)
