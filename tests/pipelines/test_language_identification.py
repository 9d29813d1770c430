"""The recipe of language identification: its texts, and the way from them to a report."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main as run_command

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "pipelines"))
pytest.importorskip("emoji")

import commands  # noqa: E402
import language_identification as recipe  # noqa: E402

Row = dict[str, str]


def rows_of(manifest: Path) -> list[Row]:
    return pq.read_table(manifest).to_pylist()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return rows_of(recipe.make(tmp_path_factory.mktemp("texts") / "new" / "manifest.parquet"))


def of_split(rows: list[Row], split: str) -> list[Row]:
    return [row for row in rows if row["split"] == split]


def test_every_language_names_every_emoji_once(rows: list[Row]) -> None:
    count = len(rows) // len(recipe.LANGUAGES)
    assert count > 1800
    assert Counter(row["label"] for row in rows) == dict.fromkeys(recipe.LANGUAGES, count)
    assert len({row["id"] for row in rows}) == len(rows)
    for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        held = Counter(row["label"] for row in of_split(rows, split))
        assert held.keys() == set(recipe.LANGUAGES)
        assert len(set(held.values())) == 1
        assert held["en"] == pytest.approx(share * count, rel=0.1)


def test_texts_are_words_without_the_package_s_marks(rows: list[Row]) -> None:
    for row in rows:
        assert row["text"] == row["text"].strip() != ""
        assert not {":", "_"} & {*row["text"]}
    texts = {row["id"]: row["text"] for row in rows}
    assert texts["1f3c5.en"] == "sports medal"
    assert texts["1f3c5.fr"] == "médaille sportive"


def test_no_emoji_and_no_text_of_a_language_is_in_two_splits(rows: list[Row]) -> None:
    for of_row in (lambda row: row["group"], lambda row: (row["label"], row["text"])):
        seen = [{of_row(row) for row in of_split(rows, s)} for s in ("train", "val", "test")]
        assert all(seen)
        assert sum(map(len, seen)) == len(set().union(*seen))


def test_emoji_that_differ_in_gender_alone_are_of_one_group_and_skins_are_left_out(
    rows: list[Row],
) -> None:
    group = {row["text"]: row["group"] for row in rows if row["label"] == "en"}
    assert group["woman astronaut"] == group["man astronaut"] == group["astronaut"]
    assert group["woman running"] == group["man running"] == group["person running"]
    assert group["female sign"] != group["male sign"]
    assert group["girl"] == group["boy"] != group["woman"]
    assert not any("skin tone" in text for text in group)


def test_a_seed_gives_the_same_split_and_another_seed_another(
    rows: list[Row], tmp_path: Path
) -> None:
    again, other = (rows_of(recipe.make(tmp_path / str(seed), seed)) for seed in (0, 1))
    assert again == rows
    assert [row["id"] for row in other] == [row["id"] for row in rows]
    assert [row["split"] for row in other] != [row["split"] for row in rows]


def test_the_way_from_words_to_a_report_tells_languages_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands run in this process, where torch is loaded already."""
    ran: list[str] = []

    def mmembed(*given: object) -> None:
        words = [str(word) for word in given]
        ran.append(words[0])
        assert run_command(words) == 0

    monkeypatch.setattr(commands, "mmembed", mmembed)
    monkeypatch.chdir(ROOT)
    recipe.main([str(tmp_path), "--most-emoji", "20", "--epochs", "1", "--seed", "1"])
    recipe.main([str(tmp_path), "--most-emoji", "60", "--epochs", "4"])
    assert ran == ["fit", "embed", "evaluate"] * 2
    report = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert {(row["query"], row["target"]) for row in report["retrieval"]} == {("text", "text")}
    probe = next(row for row in report["classification"] if row["method"] == "linear probe")
    assert probe["labels"] == list(recipe.LANGUAGES)
    assert sum(map(sum, probe["confusion"])) == 14 * 12
    assert probe["metrics"]["accuracy"] > 0.35


@pytest.mark.parametrize("words", [["make", "x", "--sead", "3"], ["x", "--epoks", "3"]])
def test_a_mistyped_option_is_one_line(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"language_identification: unknown option .* did you"):
        recipe.main(words)
