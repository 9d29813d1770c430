"""recommender: users and items in one space; from interactions to recommendations, end to end.

    python pipelines/recommender.py                          # make, fit, embed, recommend
    python pipelines/recommender.py --data FOLDER            # the same with tables of your own

The data is two tables: ``interactions.parquet`` (user, item, time, split) and ``items.parquet``
(item, tags). Those that :func:`make` writes are stated in :mod:`recommender_data`. A user is the
items taken last, an item is its name and its tags; so new items are found by their tags, and new
users by the first items that they take.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from commands import embed, fit, run_pipeline
from recommender_baselines import COUNT, Recommender, most_popular, popularity, recall, tuned
from recommender_data import Size, make_tables
from recommender_log import Log
from recommender_rows import validation_users, vectors_of, write_catalogue, write_training_rows
from scipy import sparse

from mmembed.errors import ManifestError, MissingExtraError
from mmembed.store.table import EmbeddingTable

INTERACTIONS, ITEMS = "interactions.parquet", "items.parquet"
MADE_WITH = b"recommender"  # key of the settings among a schema's metadata
MAKER_VERSION = 1  # raised when the same settings would make other tables
USUAL_SIZE = Size()
# of the logarithm of popularity, beside a cosine
WEIGHTS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3, 0.4, 0.6)


def make(
    folder: Path = Path("runs/recommender/data"), seed: int = 0, size: Size = USUAL_SIZE
) -> Path:
    """Make the two tables, unless they are there and were made with the same settings.

    Args:
        folder: where to; tables that this command made with other settings are replaced.
        seed: of everything random here.
        size: how much of everything.

    Returns:
        the folder.

    Raises:
        ManifestError: the folder holds tables that were not made here.
    """
    path = folder / INTERACTIONS
    settings = json.dumps({"version": MAKER_VERSION, "seed": seed, **asdict(size)}).encode()
    if path.exists():
        made_with = (pq.read_schema(path).metadata or {}).get(MADE_WITH)
        if made_with is None:
            raise ManifestError(f"{path}: not made by recommender. Name another folder.")
        if made_with == settings:
            print(f"{folder}: complete, made with these settings")
            return folder
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    interactions, items = make_tables(size, seed)
    pq.write_table(items, folder / ITEMS)
    partial = path.with_suffix(".partial")
    pq.write_table(interactions.replace_schema_metadata({MADE_WITH: settings}), partial)
    partial.rename(path)
    counts = f"{len(interactions):,} interactions, {len(items):,} items"
    print(f"{folder}: {counts} in {time.perf_counter() - began:.0f} s")
    return folder


def run(
    folder: Path = Path("runs/recommender"),
    data: Path | None = None,
    config: Path = Path("configs/recommender.yaml"),
    seed: int = 0,
    epochs: int | None = None,
    size: Size = USUAL_SIZE,
) -> None:
    """Make the tables, then fit and embed with the commands that a user types, and recommend.

    Args:
        folder: everything is written below it: data, manifests, space, vectors, recommendations.
        data: folder of tables of your own; None makes them.
        config: of the training.
        seed: of the tables and of the training.
        epochs: of the training; None takes the config's.
        size: of the tables that are made.
    """
    data = make(folder / "data", seed, size) if data is None else data
    log = Log.read(data / INTERACTIONS, data / ITEMS)
    rows, catalogue = folder / "training.parquet", folder / "catalogue.parquet"
    vectors = folder / "vectors"
    write_training_rows(log, rows, seed)
    write_catalogue(log, catalogue)
    embed(catalogue, vectors, fit(folder, config, rows, seed, epochs))
    ours = of_space(log, EmbeddingTable.open(vectors))
    best = ours.best(log.matrix("train", "val"))
    columns = {"user": log.users, "items": [log.items[row[row >= 0]] for row in best]}
    pq.write_table(pa.table(columns), folder / "recommendations.parquet")
    recommenders = {"popularity": most_popular(log.matrix("train", "val"))}
    als = als_of(log, seed)
    if als is not None:
        recommenders["ALS"] = als
    scores = compare(log, recommenders | {"user and item vectors": ours})
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def of_space(log: Log, vectors: EmbeddingTable) -> Recommender:
    """Return what recommends by the vectors of a trained space.

    The score of an item is its cosine, and the logarithm of its popularity with the weight that
    recalls most of split ``val``. In-batch negatives are drawn by popularity, so that cosines learn
    ``log p(item | user)`` less the logarithm of popularity (Yi et al. 2019, RecSys,
    "Sampling-bias-corrected neural modeling for large corpus item recommendations"). Users without
    a history are recommended what is popular.

    Args:
        log: all interactions.
        vectors: of the catalogue.
    """
    items = vectors_of(vectors, "item", log.items)
    former, _ = validation_users(log)
    before, wanted = log.matrix("train"), log.matrix("val")[former]
    users, bonus = vectors_of(vectors, "val", log.users[former]), log_popularity(before)
    scores = {
        weight: recall(Recommender(users, items, weight * bonus).best(before[former]), wanted)
        for weight in WEIGHTS
    }
    weight = max(scores, key=scores.__getitem__)
    print(f"weight of popularity: {weight:.2f}, {scores[weight]:.4f} on val")
    user, _ = log.as_begins("test")
    users = np.zeros((len(log.users), items.shape[1]), np.float32)
    users[user] = vectors_of(vectors, "user", log.users[user])
    return Recommender(users, items, weight * log_popularity(log.matrix("train", "val")))


def log_popularity(before: sparse.csr_matrix) -> np.ndarray:
    """Return the logarithms of how many users took each item ``(items,)``.

    What nobody took counts as the others do on average.
    """
    counts = popularity(before)
    return np.log(np.where(counts > 0, counts, counts[counts > 0].mean()))


def als_of(log: Log, seed: int) -> Recommender | None:
    """Return ALS with the settings that recall most of split ``val``; None if it is not there.

    It learns from split ``train`` to choose them, and then from both.
    """
    began = time.perf_counter()
    try:
        als, score = tuned(log.matrix("train"), log.matrix("val"), validation_users(log)[0])
    except MissingExtraError as error:
        print(f"no figures of ALS: {error}")
        return None
    print(f"{als}: {score:.4f} on val, chosen in {time.perf_counter() - began:.0f} s", flush=True)
    return als.fit(log.matrix("train", "val"), seed)


def compare(log: Log, recommenders: dict[str, Recommender]) -> dict[str, dict[str, float]]:
    """Print and return, by method, the recall@20 of the test.

    It is that of all items; and of new items, which nobody took before: among all items, and
    among the new ones alone, where each method ranks them.
    """
    before, wanted = log.matrix("train", "val"), log.matrix("test")
    is_new = popularity(before) == 0
    new, wanted_new = np.flatnonzero(is_new), sparse.csr_matrix(wanted.multiply(is_new))
    wanted_new.eliminate_zeros()
    scores = {}
    for name, recommender in recommenders.items():
        best = recommender.best(before)
        scores[name] = {"all items": recall(best, wanted), "new items": recall(best, wanted_new)}
        if len(new):
            among = recall(recommender.best_among(new), wanted_new)
            scores[name]["new among new"] = among
    columns = list(scores["popularity"])
    print(f"\n{'recall@20 of the test':<24}" + "".join(f"{name:>15}" for name in columns))
    for name, row in scores.items():
        print(f"{name:<24}" + "".join(f"{score:>15.4f}" for score in row.values()))
    if len(new):
        chance = min(1, COUNT / len(new))
        print(f"{len(new):,} items are new in the test; among them, chance is {chance:.4f}")
    return scores


def main(words: list[str]) -> None:
    """Run the command that the user typed."""
    run_pipeline("recommender", words, make, run)


if __name__ == "__main__":
    main(sys.argv[1:])
