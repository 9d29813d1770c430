"""Runs the language_identification pipeline once a seed, beside a linear model of the same texts.

Usage::

    python benchmarks/language_identification.py --seeds 0 1 2

The linear model is scikit-learn's: TF-IDF of the character n-grams of words, and logistic
regression. It learns from the training split that the pipeline made, and is told nothing else.
Everything is written below ``runs/quality``, and the table into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from page import conditions, write_section
from quality import PACKAGES, ROOT, measure, table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

PIPELINE = "language_identification"
LATIN = ("de", "en", "es", "fr", "id", "it", "pt", "tr")  # written in the same letters
SPLITS = ("train", "test")
TEXT_PACKAGES = ("emoji", "tokenizers", "scikit-learn", *PACKAGES[:1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality" / PIPELINE)
    options = parser.parse_args()
    runs = []
    for seed in options.seeds:
        folder = options.out / f"seed-{seed}"
        run = measure(PIPELINE, f"seed {seed}", folder, [str(folder), "--seed", str(seed)])
        del run.figures["probe text"]  # it is among the accuracies
        run.figures |= read_accuracies(folder / "report" / "report.json")
        began = time.perf_counter()
        run.figures |= linear_model(folder / "manifest.parquet")
        run.seconds["the linear model"] = time.perf_counter() - began
        print(f"{run.name}: {run.figures}", flush=True)
        runs.append(run)
    section = render(table(runs))
    write_section(f"quality:{PIPELINE}", section)
    print(section)


def read_accuracies(path: Path) -> dict[str, float]:
    """Return the accuracies of a report: of all languages, and of those in Latin letters."""
    figures = {}
    for row in json.loads(path.read_text("utf-8"))["classification"]:
        counts, latin = np.array(row["confusion"]), np.isin(row["labels"], LATIN)
        figures[row["method"]] = row["metrics"]["accuracy"]
        right = counts.diagonal()[latin].sum() / counts[latin].sum()
        figures[f"{row['method']}, Latin letters"] = float(right)
    return figures


def linear_model(manifest: Path) -> dict[str, float]:
    """Return the accuracies of TF-IDF and logistic regression, and the most that can be reached."""
    texts = {split: pq.read_table(manifest, filters=[("split", "=", split)]) for split in SPLITS}
    train, test = ((t["text"].to_pylist(), np.array(t["label"])) for t in texts.values())
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=300).fit(grams.fit_transform(train[0]), train[1])
    right = model.predict(grams.transform(test[0])) == test[1]
    latin = np.isin(test[1], LATIN)
    return {
        "n-grams": float(right.mean()),
        "n-grams, Latin letters": float(right[latin].mean()),
        "the most that can be right": len(set(test[0])) / len(test[0]),
    }


def render(lines: list[str]) -> str:
    """Return the section: what was run, where, what the rows are, and the table."""
    return "\n".join(
        [
            f"## {PIPELINE}: quality",
            "",
            f"`configs/{PIPELINE}.yaml`; {conditions(*TEXT_PACKAGES)}",
            "",
            "The language of the names of emoji, of fourteen: mean average precision by label on "
            "the test split (the arrow), accuracy of each way to classify its vectors, the same of "
            "the eight languages in Latin letters alone, and wall time. *n-grams* are TF-IDF of 1 "
            "to 5 characters of a word and logistic regression of scikit-learn (C of 10; both "
            "chosen with a look at a test split, which favours them), on the same split. *banana* "
            "is a word of three languages: the most that can be right counts each text of the "
            "test split once.",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
