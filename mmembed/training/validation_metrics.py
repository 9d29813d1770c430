"""Retrieval scores of the vectors of a validation epoch, and warnings of a collapse."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmembed.data.batch import Batch
from mmembed.evaluation.retrieval.relevance import SameKey
from mmembed.evaluation.retrieval.retrieval import score
from mmembed.evaluation.space_geometry import effective_rank
from mmembed.store.label_codes import LabelCodes
from mmembed.training.optim import LEARNING_RATE


class VectorCollector:
    """Gathers the vectors of an epoch, batch by batch."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[np.ndarray]] = {}
        self._labels: dict[str, list[np.ndarray]] = {}
        self._codes: dict[str, list[np.ndarray]] = {}
        self._samples = 0

    def add(self, vectors: dict[str, Tensor], batch: Batch) -> None:
        """Take in the unit vectors ``(items, dim)`` of a batch, by field."""
        for field, some in vectors.items():
            rows = batch.rows[field]
            codes = torch.stack([batch.group[rows], rows + self._samples], 1)
            labels = batch.label[rows].reshape(len(rows), -1)
            self._vectors.setdefault(field, []).append(some.float().cpu().numpy())
            self._codes.setdefault(field, []).append(codes.cpu().numpy())
            self._labels.setdefault(field, []).append(labels.cpu().numpy())
        self._samples += len(batch)

    def finish(self) -> tuple[dict[str, float], list[str]]:
        """Return scores such as ``image-audio/mAP`` and warnings, and start anew.

        Relevance is a label in common where every item has one, else the group, else the sample.
        Vectors that are not finite have scores of NaN.
        """
        vectors = {m: np.concatenate(v) for m, v in self._vectors.items()}
        keys = self._keys()
        self._vectors, self._labels, self._codes, self._samples = {}, {}, {}, 0
        scores: dict[str, float] = {}
        warnings: list[str] = []
        if not vectors:
            return scores, warnings
        for first in vectors:
            rank = effective_rank(vectors[first])
            scores[f"{first}/effective_rank"] = rank
            one_way = float(np.linalg.norm(vectors[first].mean(0)))
            if len(vectors[first]) > 2 and rank < 1.1 and one_way > 0.99:
                warnings.append(
                    f"the {first} vectors have collapsed: effective rank {rank:.2f}. Lower "
                    f"{LEARNING_RATE}, or look at the pairs and labels."
                )
            for second in vectors:
                if first == second:
                    continue
                if not (np.isfinite(vectors[first]).all() and np.isfinite(vectors[second]).all()):
                    scores[f"{first}-{second}/mAP"] = scores[f"{first}-{second}/R@1"] = np.nan
                else:
                    relevance = SameKey(keys[first], keys[second])
                    result = score(vectors[first], vectors[second], [relevance])[0]
                    scores[f"{first}-{second}/mAP"] = result.mean("mAP")
                    scores[f"{first}-{second}/R@1"] = result.mean("R@1")
        return scores, warnings

    def _keys(self) -> dict[str, LabelCodes]:
        """Return, by field, the keys of each item: items that have one in common are relevant."""
        labels = {
            m: LabelCodes.joined([LabelCodes.of_padded(each) for each in parts])
            for m, parts in self._labels.items()
        }
        if all(each.counts.all() for each in labels.values()):
            return labels
        codes = {m: np.concatenate(c) for m, c in self._codes.items()}
        column = 0 if all((c[:, 0] >= 0).all() for c in codes.values()) else 1
        return {m: LabelCodes.of_padded(c[:, column, None]) for m, c in codes.items()}
