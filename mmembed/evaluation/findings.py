"""What an evaluation found: every number that the page, the JSON and the tables show.

Nothing here computes a score, reads a dataset or writes a file.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmembed.evaluation.classification import Classification
from mmembed.evaluation.items import RELEVANCES, Items, Pool, Relevance
from mmembed.evaluation.retrieval import METRICS, Retrieval
from mmembed.store.schema import Provenance

PROBE = "linear probe"
GRADES = ((0.9, "excellent"), (0.7, "good"), (0.4, "fair"))  # of the way from chance to 1
POOLING = {
    "mean": "a file's vector is the mean of its segments' vectors, scaled to unit length",
    "max": "two files score the best pair of their segments",
}


@dataclass(frozen=True)
class Direction:
    """Retrieval from one modality to another under one notion of relevance."""

    relevance: Relevance
    query: str
    target: str
    result: Retrieval

    @property
    def name(self) -> str:
        """``image → audio``."""
        return f"{self.query} → {self.target}"

    def to_dict(self) -> dict[str, Any]:
        """Return every number of the direction, JSON-ready."""
        return {
            "relevance": self.relevance,
            "query": self.query,
            "target": self.target,
            "queries": len(self.result.queries),
            "unanswerable": self.result.unanswerable,
            "targets": self.result.targets,
            **self.result.summary(),
            "chance": self.result.chance(),
        }


@dataclass(frozen=True)
class Evaluation:
    """All that was found out about one dataset.

    Attributes:
        items: the files that were scored, by their pooled vectors.
        provenance: what made the dataset.
        scored: which files were scored, in words.
        pool: how the segments of a file were pooled.
        faults: a sentence for each fault of the data.
        directions: retrieval in every direction, by label and by group.
        classification: by modality, k-NN and linear probe.
        geometry: by name, a number.
        report: the page that was written, if one was asked for.
    """

    items: Items
    provenance: Provenance
    scored: str
    pool: Pool
    faults: list[str]
    directions: list[Direction]
    classification: dict[str, list[Classification]]
    geometry: dict[str, float] = field(default_factory=dict)
    report: Path | None = None

    @property
    def verdict(self) -> str:
        """What the numbers say, in a few sentences."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """A sentence a notion of relevance, and one each on the probe and on faults."""
        sentences = [s for relevance in RELEVANCES for s in self._on_retrieval(relevance)]
        probes = [
            f"{modality} {c.accuracy:.3f}"
            for modality, results in self.classification.items()
            for c in results
            if c.method == PROBE
        ]
        if probes:
            sentences.append(f"A linear probe reads the label with accuracy {', '.join(probes)}.")
        if not sentences:
            sentences.append("Nothing could be scored: no file shares a label or a group.")
        if self.faults:
            found = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
            sentences.append(f"The data has {found}; read them before trusting a score.")
        return sentences

    def _on_retrieval(self, relevance: Relevance) -> list[str]:
        found = [d for d in self.directions if d.relevance == relevance]
        if not found:
            return []
        found.sort(key=lambda d: d.result.mean("mAP"))
        low, high = found[0], found[-1]
        score, chance = low.result.mean("mAP"), low.result.chance()["mAP"]
        lift = (score - chance) / max(1 - chance, 1e-9)
        low_grade = "weak" if score > 1.5 * chance else "near chance"
        grade = next((name for least, name in GRADES if lift >= least), low_grade)
        sentence = (
            f"Retrieval by {relevance} is {grade}: {low.name} mAP {score:.3f} over "
            f"{len(low.result.queries):,} queries (chance {chance:.3f})"
        )
        if high is not low:
            sentence += (
                f" is the weakest direction, {high.name} with {high.result.mean('mAP'):.3f} "
                f"over {len(high.result.queries):,} the best"
            )
        return [sentence + "."]

    @property
    def protocol(self) -> dict[str, str]:
        """How the numbers came about, in words."""
        return {
            "scored": self.scored,
            "similarity": "cosine of unit vectors",
            "pooling": POOLING[self.pool],
            "relevance": "a target is relevant if it has the query's label, or the query's group; "
            "within one modality a file is never its own answer",
            "ties": "every metric is its expectation over all orders of tied targets",
            "unanswerable": "queries with nothing relevant are left out of the means and counted",
            "chance": "what an encoder that gives every file the same vector scores",
        }

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-ready but for NaN."""
        return {
            "verdict": self.verdict,
            "protocol": self.protocol,
            "space": {
                "name": self.provenance.space,
                "fingerprint": self.provenance.fingerprint,
                "dim": self.provenance.dim,
            },
            "counts": {m: int((self.items.modality == m).sum()) for m in self.items.modalities},
            "faults": self.faults,
            "retrieval": [d.to_dict() for d in self.directions],
            "classification": [
                {
                    "modality": modality,
                    "method": c.method,
                    "protocol": c.protocol,
                    "accuracy": c.accuracy,
                    "macro F1": c.macro_f1,
                    "labels": c.labels,
                    "confusion": c.confusion.tolist(),
                }
                for modality, results in self.classification.items()
                for c in results
            ],
            "geometry": self.geometry,
            "metrics": METRICS,
            "versions": {
                "python": platform.python_version(),
                **{p: version(p) for p in ("mmembed", "numpy", "scikit-learn", "pyarrow")},
            },
        }
