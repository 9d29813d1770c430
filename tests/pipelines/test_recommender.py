from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
sys.path.insert(0, str(PIPELINES))

import recommender  # noqa: E402
import recommender_data  # noqa: E402
import recommender_rows  # noqa: E402

from mmembed.store.provenance import Provenance  # noqa: E402
from mmembed.store.table import EmbeddingTable  # noqa: E402

SMALL = recommender_data.Size(users=600, items=1000, interactions=40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of the whole pipeline, as a user starts it."""
    folder = tmp_path_factory.mktemp("recommender")
    config = (ROOT / "configs" / "recommender.yaml").read_text()
    assert "batch_size: 2048" in config
    (folder / "small.yaml").write_text(config.replace("batch_size: 2048", "batch_size: 256"))
    words = [sys.executable, PIPELINES / "recommender.py", folder, "--epochs", 8]
    words += ["--config", folder / "small.yaml", "--users", SMALL.users, "--items", SMALL.items]
    words += ["--interactions", SMALL.interactions]
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def test_a_run_beats_popularity_and_finds_new_items(finished: Path) -> None:
    scores = json.loads((finished / "scores.json").read_text())
    space = scores["user and item vectors"]
    assert space["all items"] > scores["popularity"]["all items"] > 0
    assert space["new among new"] > 1.2 * scores["popularity"]["new among new"]  # by chance
    printed = (finished / "stdout.txt").read_text()
    assert f"{space['all items']:.4f}" in printed


def test_a_run_recommends_twenty_items_that_a_user_has_not_taken(finished: Path) -> None:
    recommended = pq.read_table(finished / "recommendations.parquet").to_pylist()
    taken = pq.read_table(finished / "data" / "interactions.parquet").to_pylist()
    before = {(row["user"], row["item"]) for row in taken if row["split"] != "test"}
    assert len({row["user"] for row in recommended}) == len(recommended) == SMALL.users
    for row in recommended:
        assert len(set(row["items"])) == 20
        assert not before & {(row["user"], item) for item in row["items"]}


def test_tables_made_with_these_settings_are_kept_and_with_others_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = recommender_data.Size(users=20, items=30, interactions=5)
    recommender.make(tmp_path, seed=0, size=few)
    first = (tmp_path / "interactions.parquet").stat().st_mtime_ns
    recommender.make(tmp_path, seed=0, size=few)
    assert "complete, made with these settings" in capsys.readouterr().out
    assert (tmp_path / "interactions.parquet").stat().st_mtime_ns == first
    recommender.make(tmp_path, seed=1, size=few)
    assert (tmp_path / "interactions.parquet").stat().st_mtime_ns != first


def test_tables_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["ann"]}), tmp_path / "interactions.parquet")
    with pytest.raises(SystemExit, match=r"not made by recommender\. Name another folder\."):
        recommender.main(["make", str(tmp_path)])
    assert pq.read_table(tmp_path / "interactions.parquet")["user"].to_pylist() == ["ann"]


def test_items_that_nobody_took_count_as_the_average_one() -> None:
    before = sparse.csr_matrix(np.repeat([[1, 0, 1], [0, 0, 1]], [1, 99], axis=0))
    logs = recommender.log_popularity(before)
    assert logs == pytest.approx([0, np.log(50.5), np.log(100)])


def small_log(folder: Path) -> recommender.Log:
    recommender.make(folder, seed=0, size=recommender_data.Size(200, 80, 20))
    return recommender.Log.read(folder / "interactions.parquet", folder / "items.parquet")


@pytest.mark.parametrize("tell", ["taken", "popular"])
def test_popularity_weighs_what_recalls_most_of_val(
    tell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Vectors of users that lie at what they take in val need no popularity; random ones do."""
    log = small_log(tmp_path)
    rng = np.random.default_rng(0)
    items = np.eye(80, dtype=np.float32)
    former, _ = recommender.validation_users(log)
    latest, _ = log.as_begins("test")
    users = rng.normal(size=(len(former), 80)).astype(np.float32)
    if tell == "taken":
        users = log.matrix("val")[former].toarray() + 1e-3
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    vectors = np.concatenate([users, np.tile(items[:1], (len(latest), 1)), items])
    names = [("val", log.users[former]), ("user", log.users[latest]), ("item", log.items)]
    ids = np.concatenate([recommender_rows.keys(kind, some) for kind, some in names])
    made = Provenance(fingerprint="f", space="s", dim=80)
    table = EmbeddingTable(pa.table({"sample_id": ids}), vectors, made)
    ours = recommender.of_space(log, table)
    weight = float(capsys.readouterr().out.split("weight of popularity: ")[1].split(",")[0])
    assert weight < 0.1 if tell == "taken" else weight > 0.1
    assert ours.bonus == pytest.approx(
        weight * recommender.log_popularity(log.matrix("train", "val"))
    )
    assert (ours.users[latest] == items[0]).all()


def test_new_items_are_ranked_among_all_and_among_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One method knows what is taken in the test; another knows it of new items alone."""
    recommender.make(tmp_path, seed=0, size=recommender_data.Size(200, 600, 20))
    log = recommender.Log.read(tmp_path / "interactions.parquet", tmp_path / "items.parquet")
    before, later = log.matrix("train", "val"), log.matrix("test").toarray()
    new = recommender.popularity(before) == 0
    names = {item for item, is_new in zip(log.items, new, strict=True) if is_new}
    assert names & set(log.items[log.item[log.split == "test"]])
    none = np.zeros(600)
    methods = {
        "popularity": recommender.most_popular(before),
        "oracle": recommender.Recommender(later, np.eye(600), none),
        "shy": recommender.Recommender(later, np.eye(600), np.where(new, -10, none)),
    }
    scores = recommender.compare(log, methods)
    assert scores["oracle"] == {"all items": 1, "new items": 1, "new among new": 1}
    assert scores["shy"]["new among new"] == 1 > scores["shy"]["all items"]
    assert scores["shy"]["new items"] == scores["popularity"]["new items"] == 0
    assert scores["popularity"]["new among new"] < 1
    printed = capsys.readouterr().out
    assert f"{len(names)} items are new in the test; among them, chance is" in printed
    assert f"{20 / len(names):.4f}" in printed


def test_als_that_is_not_installed_is_said_and_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    assert recommender.als_of(small_log(tmp_path), 0) is None
    assert "no figures of ALS: ALS as a baseline needs an extra" in capsys.readouterr().out


def test_a_mistyped_option_of_the_pipeline_is_one_line() -> None:
    with pytest.raises(SystemExit, match=r"recommender: unknown option .* did you mean --users\?"):
        recommender.main(["--usrs", "3"])
