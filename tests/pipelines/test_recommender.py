from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
sys.path.insert(0, str(PIPELINES))

import recommender  # noqa: E402
import recommender_data  # noqa: E402

SMALL = recommender_data.Size(users=400, items=300, interactions=40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of the whole pipeline, as a user starts it."""
    folder = tmp_path_factory.mktemp("recommender")
    words = [sys.executable, PIPELINES / "recommender.py", folder, "--epochs", 12]
    words += ["--users", SMALL.users, "--items", SMALL.items, "--interactions", 40]
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def test_a_run_beats_popularity_and_finds_new_items(finished: Path) -> None:
    scores = json.loads((finished / "scores.json").read_text())
    space = scores["user and item vectors"]
    assert space["all"] > scores["popularity"]["all"] > 0
    assert space["new"] > scores["popularity"]["new"] == 0
    printed = (finished / "stdout.txt").read_text()
    assert f"{space['all']:.4f}" in printed


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
    logs = recommender.log_popularity(np.array([1, 0, 100]))
    assert logs == pytest.approx([0, np.log(50.5), np.log(100)])


def test_scale_is_the_last_of_the_newest_training(tmp_path: Path) -> None:
    for version, scales in ((0, ["3.0"]), (1, ["7.0", "", "8.5", ""])):
        folder = tmp_path / "log" / f"version_{version}"
        folder.mkdir(parents=True)
        lines = ["step,train/logit_scale", *(f"{i},{scale}" for i, scale in enumerate(scales))]
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    assert recommender.learned_scale(tmp_path) == 8.5


def test_als_that_is_not_installed_is_said_and_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recommender.make(tmp_path, seed=0, size=recommender_data.Size(20, 60, 5))
    log = recommender.Log.read(tmp_path / "interactions.parquet", tmp_path / "items.parquet")
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    assert list(recommender.baselines(log, 0)) == ["popularity"]
    assert "no figures of ALS: ALS as a baseline needs an extra" in capsys.readouterr().out


def test_a_mistyped_option_of_the_pipeline_is_one_line() -> None:
    with pytest.raises(SystemExit, match=r"recommender: unknown option .* did you mean --users\?"):
        recommender.main(["--usrs", "3"])
