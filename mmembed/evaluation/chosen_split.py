"""The split that is scored, and the one that classifiers learn from."""

from __future__ import annotations

from mmembed.errors import ConfigError
from mmembed.evaluation.items import Items
from mmembed.store.labels import SPLITS, split_named


def choose_split(items: Items, split: str | None) -> tuple[Items, Items | None, str]:
    """Return the items to score, those to train classifiers on (or None), and a line saying so.

    Args:
        items: all of them.
        split: the split to score, by any of its names; ``all`` takes every item; None takes
            ``test`` if there is one, else every item.

    Raises:
        ConfigError: no item is in ``split``.
    """
    kind = f"{items.unit}s"
    present = sorted({s for s in items.split if s is not None})
    if split == "all" or (split is None and "test" not in present):
        return items, None, f"all {len(items):,} {kind}"
    wanted = "test" if split is None else split_named(split) or split.strip()
    mask = items.split == wanted
    if not mask.any():
        raise ConfigError(
            f"no row is in it; the dataset has {', '.join(present) if present else 'no splits'}",
            "split",
            split,
        )
    training = items.split == SPLITS[0]
    train = items.select(training) if training.any() and wanted != SPLITS[0] else None
    line = f"split {wanted}: {int(mask.sum()):,} of {len(items):,} {kind}"
    return items.select(mask), train, line
