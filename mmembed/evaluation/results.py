"""Results of an evaluation: every number that the page, the JSON and the tables show.

Nothing here computes a score, reads a dataset or writes a file.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmembed.evaluation.classification.classify import Classification, most_confused
from mmembed.evaluation.compare import Comparison
from mmembed.evaluation.data_checks.data_fault import DataFault
from mmembed.evaluation.directions import Direction
from mmembed.evaluation.items import Items, Pool
from mmembed.evaluation.retrieval.metrics import MAIN, METRICS
from mmembed.store.provenance import Provenance

FORMAT = "mmembed-report/1"
PROBE = "linear probe"
NOTHING = "Nothing could be scored: no two files share a label, a group or a name."
MOST_SHOWN = 100  # classes of a confusion matrix
GRADES = ((0.9, "excellent"), (0.7, "good"), (0.4, "fair"))  # of the way from chance to 1
POOLING = {
    "mean": "a file's vector is the mean of its segments' vectors, scaled to unit length",
    "max": "two files score the best pair of their segments",
    "moments": "every segment is an item; relevant is what also overlaps in time by half or more",
}


@dataclass(frozen=True)
class Evaluation:
    """All results for one dataset.

    Attributes:
        items: the files that were scored, by their pooled vectors.
        provenance: what made the dataset.
        scored: which files were scored, in words.
        pool: how the segments of a file were pooled.
        faults: what is wrong with the data.
        directions: retrieval in every direction, under every notion of relevance.
        classification: by field, k-NN and linear probe.
        geometry: by name, a number.
        comparison: with another dataset, if one was asked for.
        reading: by topic, a line on what was read otherwise than it stands in the dataset.
        missed: a sentence for each score that does not reach the bound that was asked for.
        report: the page that was written, if one was asked for.
    """

    items: Items
    provenance: Provenance
    scored: str
    pool: Pool
    faults: list[DataFault]
    directions: list[Direction]
    classification: dict[str, list[Classification]]
    geometry: dict[str, float] = field(default_factory=dict)
    comparison: Comparison | None = None
    reading: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    report: Path | None = None

    @property
    def notions(self) -> list[str]:
        """The notions of relevance that were scored, in order."""
        return list(dict.fromkeys(d.relevance for d in self.directions))

    @property
    def verdict(self) -> str:
        """The numbers in a few sentences."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """A sentence a notion of relevance, and one each on the probe and on faults."""
        sentences = [s for relevance in self.notions for s in self._on_retrieval(relevance)]
        probes = [
            f"{field} {c.accuracy:.3f}"
            for field, results in self.classification.items()
            for c in results
            if c.method == PROBE
        ]
        if probes:
            sentences.append(f"A linear probe reads the label with accuracy {', '.join(probes)}.")
        if not sentences:
            sentences.append(NOTHING)
        if self.comparison is not None:
            sentences.append(self.comparison.sentence)
        if self.faults:
            one = len(self.faults) == 1
            faults = "1 fault; read it" if one else f"{len(self.faults)} faults; read them"
            sentences.append(f"The data has {faults} before trusting a score.")
        return sentences

    def _on_retrieval(self, relevance: str) -> list[str]:
        directions = [d for d in self.directions if d.relevance == relevance]
        if not directions:
            return []
        directions.sort(key=lambda d: d.result.mean(MAIN))
        low, high = directions[0], directions[-1]
        score, chance = low.result.mean(MAIN), low.result.chance()[MAIN]
        lift = (score - chance) / max(1 - chance, 1e-9)
        low_grade = "weak" if score > 1.5 * chance else "near chance"
        grade = next((name for least, name in GRADES if lift >= least), low_grade)
        least, most = low.intervals[MAIN]
        sentence = (
            f"Retrieval by {relevance} is {grade}: {low.name} {MAIN} {score:.3f} "
            f"(95 %: {least:.3f} to {most:.3f}) over {len(low.result.queries):,} queries, chance "
            f"{chance:.3f}"
        )
        if high is not low:
            sentence += (
                f", is the weakest direction, {high.name} with {high.result.mean(MAIN):.3f} "
                f"over {len(high.result.queries):,} the best"
            )
        return [sentence + "."]

    @property
    def protocol(self) -> dict[str, str]:
        """The way the numbers came about, in words."""
        return {
            "scored": self.scored,
            **self.reading,
            "similarity": "cosine of unit vectors",
            "pooling": POOLING[self.pool],
            "relevance": "a target is relevant if it has a label of the query, its group or file "
            "stem, or is in the qrels; within one modality a file is never its own answer",
            "intervals": "95 %, bootstrap over queries, those of one group, else file, together",
            "ties": "every metric is its expectation over all orders of tied targets",
            "unanswerable": "queries with nothing relevant are left out of the means and counted",
            "chance": "what an encoder that gives every file the same vector scores",
        }

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-ready but for NaN; as report.schema.json describes."""
        fields = self.items.fields
        own_names = any(name != kind for name, kind in fields.items())
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "protocol": self.protocol,
            "space": {
                "name": self.provenance.space,
                "fingerprint": self.provenance.fingerprint,
                "dim": self.provenance.dim,
            },
            "counts": {name: int((self.items.field == name).sum()) for name in fields},
            **({"fields": fields} if own_names else {}),
            "missed": self.missed,
            "faults": [fault.to_dict() for fault in self.faults],
            "retrieval": [d.to_dict() for d in self.directions],
            "classification": [
                _classified(field, c)
                for field, results in self.classification.items()
                for c in results
            ],
            "geometry": self.geometry,
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "metrics": {metric.name: metric.help for metric in METRICS},
            "versions": {
                "python": platform.python_version(),
                **{p: version(p) for p in ("mmembed", "numpy", "scikit-learn", "pyarrow")},
            },
        }


def _classified(field: str, result: Classification) -> dict[str, Any]:
    return {
        "modality": field,
        "method": result.method,
        "protocol": result.protocol,
        "setting": result.setting,
        "metrics": {
            "accuracy": result.accuracy,
            "balanced accuracy": result.balanced_accuracy,
            "macro F1": result.macro_f1,
            "top-5 accuracy": result.top5,
        },
        "intervals": {name: list(bounds) for name, bounds in result.intervals.items()},
        "chance": result.majority,
        "labels": result.labels,
        "confusion": result.confusion.tolist() if len(result.labels) <= MOST_SHOWN else None,
        "most_confused": [list(pair) for pair in most_confused(result)],
    }
