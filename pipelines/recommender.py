"""recommender: users and items in one space; from interactions to recommendations, end to end.

    python pipelines/recommender.py                          # make, fit, embed, recommend
    python pipelines/recommender.py --data FOLDER            # the same with tables of your own

The data is two tables: ``interactions.parquet`` (user, item, time, split) and ``items.parquet``
(item, tags). Those that :func:`make` writes are stated in :mod:`recommender_data`. A user is the
items taken last and their tags, an item is its name and its tags; so new items are found by their
tags, and new users by the first items that they take.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recommender_baselines import most_popular, popularity, recall, recommend, tuned
from recommender_data import Size, make_tables
from recommender_log import Log
from recommender_rows import vectors_of, write_catalogue, write_training_rows
from scipy import sparse

from mmembed.cli.arguments import call
from mmembed.errors import ManifestError, MissingExtraError, MmembedError
from mmembed.store.table import EmbeddingTable

INTERACTIONS, ITEMS = "interactions.parquet", "items.parquet"
MADE_WITH = b"recommender"  # key of the settings among a schema's metadata
MAKER_VERSION = 1  # raised when the same settings would make other tables
USUAL_SIZE = Size()


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
    space, vectors = folder / "space", folder / "vectors"
    write_training_rows(log, rows, seed)
    write_catalogue(log, catalogue)
    options: dict[str, object] = {
        "--config": config,
        "--seed_everything": seed,
        "--data.seed": seed,
        "--data.manifest": rows,
        "--save_space.folder": space,
        "--trainer.default_root_dir": folder / "fit",
    }
    if epochs is not None:
        options["--trainer.max_epochs"] = epochs
    mmembed("fit", *(word for option in options.items() for word in option))
    if (vectors / "_mmembed.json").exists():
        shutil.rmtree(vectors)  # those of the space that was here before
    mmembed("embed", catalogue, vectors, "--space", space)
    recommended = of_space(log, vectors, learned_scale(folder / "fit"))
    columns = {"user": log.users, "items": list(log.items[recommended])}
    pq.write_table(pa.table(columns), folder / "recommendations.parquet")
    scores = compare(log, {"user and item vectors": recommended} | baselines(log, seed))
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def of_space(log: Log, vectors: Path, scale: float) -> np.ndarray:
    """Return the items ``(users, 20)`` that a trained space recommends to each user.

    In-batch negatives are drawn by popularity, so scaled cosines learn ``log p(item | user)``
    less the log of the item's popularity (Yi et al. 2019, RecSys, "Sampling-bias-corrected neural
    modeling for large corpus item recommendations"); it is added here. New items count as the
    average one, and users without a history are recommended what is popular.

    Args:
        log: all interactions.
        vectors: dataset of the catalogue.
        scale: of the cosines in the training.
    """
    table = EmbeddingTable.open(vectors)
    items, known = vectors_of(table, "item", log.items), log.with_history
    users = np.zeros((len(log.users), items.shape[1]), np.float32)
    users[known] = vectors_of(table, "user", log.users[known])
    before = log.matrix(log.split != "test")
    return recommend(scale * users, items, before, log_popularity(popularity(before)))


def log_popularity(counts: np.ndarray) -> np.ndarray:
    """Return the logarithms of counts ``(items,)``; what nobody took counts as the others' mean."""
    return np.log(np.where(counts > 0, counts, counts[counts > 0].mean()))


def learned_scale(folder: Path) -> float:
    """Return the factor of cosines that the newest training below a folder ended with."""
    newest = max(folder.glob("log/version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    with newest.open(newline="") as lines:
        scales = [row["train/logit_scale"] for row in csv.DictReader(lines)]
    return float([scale for scale in scales if scale][-1])


def baselines(log: Log, seed: int) -> dict[str, np.ndarray]:
    """Return the items ``(users, 20)`` that popularity and ALS recommend to each user.

    The settings of ALS are those that recall most of split ``val`` after training on ``train``.
    """
    before = log.matrix(log.split != "test")
    recommended = {"popularity": most_popular(before)}
    began = time.perf_counter()
    try:
        als, score = tuned(log.matrix(log.split == "train"), log.matrix(log.split == "val"))
        recommended["ALS"] = als.recommend(before, seed)
    except MissingExtraError as error:
        print(f"no figures of ALS: {error}")
    else:
        print(f"{als}: {score:.4f} on val, in {time.perf_counter() - began:.0f} s")
    return recommended


def compare(log: Log, recommended: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Print and return, by method, the recall@20 of all items and of new ones in the test."""
    wanted = log.matrix(log.split == "test")
    new = popularity(log.matrix(log.split != "test")) == 0
    wanted_new = (wanted @ sparse.diags(new.astype(np.float32))).tocsr()
    wanted_new.eliminate_zeros()
    scores = {}
    print(f"\n{'recall@20':<24}{'all items':>12}{'new items':>12}")
    for name, best in recommended.items():
        scores[name] = {"all": recall(best, wanted), "new": recall(best, wanted_new)}
        print(f"{name:<24}{scores[name]['all']:>12.4f}{scores[name]['new']:>12.4f}")
    return scores


def mmembed(*arguments: object) -> None:
    """Run one ``mmembed`` command, as a user would; end this program if it fails."""
    words = [str(argument) for argument in arguments]
    print("\n$ mmembed " + " ".join(words), flush=True)
    began = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", "mmembed", *words], check=False).returncode
    print(f"mmembed {words[0]}: {time.perf_counter() - began:.0f} s", flush=True)
    if status:
        sys.exit(status)


def main(words: list[str]) -> None:
    """Run ``make`` if that is the first word, and the whole way if not."""
    try:
        if words[:1] == ["make"]:
            call(make, ["recommender.py make", *words[1:]], ("folder",))
        else:
            call(run, ["recommender.py", *words], ("folder",))
    except MmembedError as error:
        sys.exit(f"recommender: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
