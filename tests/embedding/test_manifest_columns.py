"""Columns of a manifest in a dataset: as they are written, and read alike from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed import EmbeddingTable, embed, evaluate
from mmembed.cli import commands as cli
from mmembed.data.manifest import read_samples
from mmembed.embedding.progress import EmbedSummary
from mmembed.errors import ConfigError, ManifestError, StoreError
from mmembed.jobs.compact import compact
from tests.embedding.conftest import write_picture

PICTURES = 6
WRITTEN: dict[str, list[Any]] = {
    "id": ["None", "007", " c", "d", "e", "f"],
    "label": ["cat ", "cat", "dog", "nan", "Dog", "N/A"],
    "group": ["a", " a", "b", "c", "NULL", "e"],
    "split": ["Test", "testing", "test", "Train ", "validation", "dev"],
    "meta_note": [" x", "nan", "1.10", "", "None", "y "],
}


class Runs:
    """Runs over one manifest of six pictures into one dataset."""

    def __init__(self, folder: Path, space: Path) -> None:
        self.folder, self.space, self.out = folder, space, folder / "out"
        self.manifest = folder / "m.parquet"
        for i in range(PICTURES):
            write_picture(folder / f"media/{i}.png", i)

    def __call__(self, out: str = "out", **options: Any) -> EmbedSummary:
        self.out = self.folder / out
        return embed(self.manifest, self.out, space=self.space, workers=0, **options)

    def write(self, **columns: Any) -> None:
        images = [f"media/{i}.png" for i in range(PICTURES)]
        pq.write_table(pa.table({"image": images, **columns}), self.manifest)

    def column(self, name: str) -> list[Any]:
        return EmbeddingTable.open(self.out).rows.sort_by("path")[name].to_pylist()

    def parts(self) -> dict[str, int]:
        return {part.name: part.stat().st_mtime_ns for part in self.out.glob("part-*")}


@pytest.fixture
def runs(tmp_path: Path, eyes: Path) -> Runs:
    return Runs(tmp_path, eyes)


def test_labels_groups_and_splits_are_carried_as_they_are_written(runs: Runs) -> None:
    runs.write(**WRITTEN)
    runs()
    for name, values in WRITTEN.items():
        stored = "sample_id" if name == "id" else name
        assert runs.column(stored) == [value or None for value in values]


def test_training_and_evaluation_read_them_alike(runs: Runs) -> None:
    runs.write(**WRITTEN)
    with pytest.warns(UserWarning, match="rows? with|labels that"):
        samples = read_samples(runs.manifest, {"image": "image"})
    runs()
    evaluation = evaluate(runs.out, split="all")
    items = evaluation.items
    for name in ("label", "group", "split"):
        assert samples.table[name].to_pylist() == getattr(items, name).tolist()
    kinds = sorted(fault.kind for fault in evaluation.faults)
    assert kinds.count("placeholder") == 2
    assert kinds.count("blanks") == 2
    assert kinds.count("spelling") == 1
    assert f"splits: {evaluation.protocol['splits']}" in samples.notes
    for split in ("test", "val"):
        assert evaluate(runs.out, split=split).scored.startswith(
            f"split {split}: {len(samples.split(split))} of"
        )


def test_a_split_of_no_known_name_is_refused_before_anything_is_embedded(runs: Runs) -> None:
    runs.write(split=["train", "extra", "test", None, "", "extra"])
    said = r"row 1: unknown split; 2 rows have 'extra' \(2\). Known are train, val, test"
    with pytest.raises(ManifestError, match=said):
        runs()
    assert not runs.out.exists()


def test_lists_of_labels_are_stored_as_lists_and_stay(runs: Runs) -> None:
    lists = [["cat", "dog"], ["dog"], None, [], ["a", "b", "c"], ["x"]]
    runs.write(label=pa.array(lists, pa.list_(pa.string())))
    summary = runs()
    assert "2 of 4 labelled rows have several labels" in str(summary)
    expected = [each or None for each in lists]
    assert runs.column("label") == expected
    before = runs.parts()
    assert runs().kept == PICTURES
    assert runs.parts() == before
    listed = duckdb.sql(
        f"SELECT path FROM '{runs.out}/part-*.parquet' WHERE list_contains(label, 'dog')"
    )
    assert sorted(row[0] for row in listed.fetchall()) == ["media/0.png", "media/1.png"]
    features = json.loads(pq.read_schema(next(runs.out.glob("part-*"))).metadata[b"huggingface"])
    assert features["info"]["features"]["label"]["feature"]["dtype"] == "string"


def test_labels_that_become_lists_are_written_again_and_nothing_is_embedded(runs: Runs) -> None:
    runs.write(label=list("abcdef"))
    runs(chunk_files=2)
    runs.write(label=[["a", "b"], *([each] for each in "bcdef")])
    summary = runs(chunk_files=2)
    assert (summary.kept, summary.embedded) == (PICTURES, 0)
    assert runs.column("label") == [["a", "b"], *([each] for each in "bcdef")]
    compact(runs.out)
    assert len(runs.parts()) == 1
    assert runs.column("label")[0] == ["a", "b"]


def test_a_separator_makes_lists_and_belongs_to_the_dataset(runs: Runs, tmp_path: Path) -> None:
    runs.write(label=["cat|dog", "dog", None, "", "a| b|a", "|x"])
    assert "2 of 4 labelled rows have several" in str(runs(label_separator="|", dry_run=True))
    runs(label_separator="|")
    stored = [["cat", "dog"], ["dog"], None, None, ["a", "b", "a"], ["x"]]
    assert runs.column("label") == stored
    with pytest.raises(StoreError, match="with label_separator |, not without label_separator"):
        runs()
    items = evaluate(runs.out, split="all").items
    assert items.label.tolist() == ["cat, dog", "dog", None, None, "a, b", "x"]
    runs("texts")
    assert runs.column("label")[0] == "cat|dog"
    by_option = evaluate(runs.out, split="all", label_separator="|").items
    assert by_option.label.tolist() == items.label.tolist()
    with pytest.raises(
        ConfigError, match="label_separator=|: .*media: is a folder, which has no labels"
    ):
        embed(runs.folder / "media", tmp_path / "x", space=runs.space, label_separator="|")


def test_backslashes_and_addresses_lead_to_the_files(runs: Runs) -> None:
    table = {
        "image": [
            "media\\0.png",
            (runs.folder / "media/1.png").as_uri(),
            "media/0.png",
            "media\\gone.png",
        ]
    }
    pq.write_table(pa.table(table), runs.manifest)
    summary = runs()
    assert (summary.embedded, summary.failed, summary.repeated) == (2, 1, 1)
    assert "2 paths with backslashes, read as slashes" in str(summary)
    assert "1 path given by address (file://)" in str(summary)
    assert sorted(runs.column("path")) == [str(runs.folder / "media/1.png"), "media/0.png"]
    errors = EmbeddingTable.open(runs.out)
    assert len(errors) == 2
    assert runs().kept == 3
    samples = read_samples(runs.manifest, {"image": "image"})
    assert list(samples.notes) == [line for line in str(summary).splitlines() if "path" in line[:8]]
    first, second, third, _ = (items[0] for items in samples.items("image"))
    assert first == third == str(runs.folder / "media/0.png")
    assert second == str(runs.folder / "media/1.png")


def test_the_command_names_its_options(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs.write(label=["cat|dog"] * PICTURES)
    words = ["embed", str(runs.manifest), str(runs.out), "--space", str(runs.space)]
    assert cli.main([*words, "--workers", "0", "--label-separator", "|"]) == 0
    assert "6 of 6 labelled rows have several labels" in capsys.readouterr().out
    assert cli.main(["evaluate", str(runs.out), "--label-separator", "|"]) == 0
    sheet = runs.folder / "m.xlsx"
    sheet.write_bytes(b"PK\x03\x04")
    assert cli.main(["embed", str(sheet), str(runs.out), "--space", str(runs.space)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mmembed: error: {sheet}: is a spreadsheet. Save it as CSV UTF-8")
    assert said.count("\n") == 1
