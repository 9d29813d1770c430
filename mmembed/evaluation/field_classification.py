"""Classification of each field by its labels, and the texts of a dataset that stand for classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from mmembed.errors import ConfigError
from mmembed.evaluation.classification.classify import Classification, classify
from mmembed.evaluation.classification.labelled import Labelled
from mmembed.evaluation.classification.zero_shot import ClassVectors
from mmembed.evaluation.data_checks.data_fault import DataFault
from mmembed.evaluation.data_checks.lint import lint_spellings
from mmembed.evaluation.items import READ_COLUMNS, Items, read_items
from mmembed.evaluation.unusable_vectors import lint_vectors, usable
from mmembed.paths import place
from mmembed.store.provenance import Provenance, check_same_space
from mmembed.store.table import StoredRows

MANY_ROWS = 2000


def class_texts(
    everything: Items,
    provenance: Provenance,
    prompts: str | Path | None,
    label_separator: str = "",
) -> tuple[ClassVectors | None, list[DataFault]]:
    """Return the labelled texts of the dataset, or of another, and the faults of the other.

    A text with several labels stands for each of them.

    Args:
        everything: all items of the dataset.
        provenance: what made it.
        prompts: the other dataset, of the same space; None for the dataset itself.
        label_separator: as of :func:`~mmembed.evaluation.items.read_items`.

    Raises:
        StoreError: the other can't be read, or is of another space.
        ConfigError: the other has no text with a label.
    """
    source, texts = "text rows", everything
    faults: list[DataFault] = []
    if prompts is not None:
        stored = StoredRows(prompts, READ_COLUMNS)
        check_same_space(provenance, "the dataset", stored.provenance, f"the prompts {prompts}")
        source = "prompts"
        texts = read_items(stored, label_separator=label_separator)
    written = texts
    labelled = np.array([label is not None for label in texts.label], bool)
    texts = texts.select((texts.kind == "text") & labelled)
    if prompts is not None:
        of = f" of the prompts {place(prompts)}"
        faults = [*lint_vectors(texts, of, "zero-shot classification")]
        faults += lint_spellings(written, of)
    texts = texts.select(usable(texts))
    if not len(texts):
        if prompts is not None:
            raise ConfigError("no row of it is a text with a label", "prompts", prompts)
        return None, []
    if len(texts.fields) > 1:
        source += f" of {', '.join(texts.fields)}"
    names, vectors, groups = texts.label, texts.vectors, texts.groups()
    if texts.labels is not None:
        which = np.repeat(np.arange(len(texts)), [len(each) for each in texts.labels])
        names = np.array([name for each in texts.labels for name in each], object)
        vectors, groups = vectors[which], groups[which]
    own = None if prompts is not None else groups.astype(str)
    return ClassVectors(names.astype(str), vectors, own, source), faults


def classified_fields(
    items: Items, train: Items | None, texts: ClassVectors | None
) -> dict[str, list[Classification]]:
    """Classify each field; a thread of BLAS is enough for few rows, and more are slower."""
    with threadpool_limits(1 if len(items) < MANY_ROWS else None, "blas"):
        return {
            field: _classify(items, train, field, None if kind == "text" else texts)
            for field, kind in items.fields.items()
        }


def _classify(
    items: Items, train: Items | None, field: str, texts: ClassVectors | None
) -> list[Classification]:
    """Classify one field by its labels; rows without a label are left out.

    Where a row of it has several labels, nothing is classified.
    """

    def part(of: Items) -> Labelled:
        labelled = np.array([label is not None for label in of.label], bool)
        chosen = of.select((of.field == field) & labelled)
        return Labelled(chosen.vectors, chosen.label.astype(str), chosen.groups().astype(str))

    if any(_has_several(of, field) for of in (items, train) if of is not None):
        return []
    test = part(items)
    if len(test) == 0:
        return []
    learnt = None if train is None else part(train)
    return classify(learnt, test, texts)


def _has_several(items: Items, field: str) -> bool:
    """Return whether an item of a field has several labels."""
    if items.labels is None:
        return False
    return any(len(each) > 1 for each in items.labels[items.field == field])
