"""Spans with several labels mean the same in ``fit``, ``embed`` and ``evaluate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmembed import EmbeddingTable, embed, evaluate
from mmembed.evaluation.items import read_items
from mmembed.media.regions import path_and_region
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.training.datamodule import Loading, MediaDataModule
from tests.embedding.region_media import RATE, tones

LINES = [  # as a person writes it on Windows: blanks, backslashes, other names of splits
    ("audio\\long.wav", 0, 1, "dog|bark", "Test"),
    ("audio/long.wav", 1, "2.50", "bark | loud", "test"),
    ("audio/long.wav", 1.5, 4, "cat", " test "),
    ("audio/long.wav", 5, 6, "nan", "testing"),
    ("audio/long.wav", 6, 5, "cat|loud", "test"),
]
REGIONS = ["t=0,1", "t=1,2.5", "t=1.5,4", "t=5,6"]
ALIKE = {(0, 1), (1, 0), (0, 0), (1, 1), (2, 2)}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "audio").mkdir()
    tones(tmp_path / "audio/long.wav", 8)
    lines = [",".join(map(str, line)) for line in LINES]
    (tmp_path / "m.csv").write_text("\n".join(["audio,start_s,end_s,label,split", *lines]))
    return tmp_path / "m.csv"


def alike(rows: np.ndarray) -> set[tuple[int, int]]:
    """The pairs of items that share a code."""
    codes = [{code for code in row if code >= 0} for row in rows.tolist()]
    return {(i, j) for i, one in enumerate(codes) for j, other in enumerate(codes) if one & other}


def test_fit_knows_each_span_by_all_of_its_labels(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("est", "rain"))  # Train, training
    sounds = AudioPreprocess(RATE, 2.0, 2.0)
    loading = Loading(num_workers=0)
    data = MediaDataModule(manifest, {"audio": sounds}, 8, loading=loading, label_separator="|")
    fault = "row 4, column end_s: 5 is not after start_s, 6"
    with (
        pytest.warns(UserWarning, match=fault),
        pytest.warns(UserWarning, match="1 row with 'nan'"),
    ):
        data.setup()
    batch = data.datasets["train"].__getitems__(range(5))
    assert batch.rows["audio"].tolist() == [0, 1, 2, 3], "the last asks for what can't be"
    assert alike(batch.label.numpy()[:4]) == ALIKE


def test_no_file_has_spans_on_both_sides_of_a_split(tmp_path: Path) -> None:
    lines = ["audio,start_s,end_s"]
    for i in range(10):
        tones(tmp_path / f"{i}.wav", 4)
        lines += [f"{i}.wav,{start},{start + 1}" for start in range(3)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    sounds = {"audio": AudioPreprocess(RATE, 2.0, 2.0)}
    data = MediaDataModule(tmp_path / "m.csv", sounds, 8, val_fraction=0.3, loading=Loading(0))
    data.setup()
    sides = {
        name: [path_and_region(item)[0] for item in data.datasets[name].items["audio"].to_pylist()]
        for name in ("train", "val")
    }
    assert (len(sides["train"]), len(sides["val"])) == (21, 9)
    assert not {*sides["train"]} & {*sides["val"]}


def test_embed_and_evaluate_know_each_span_by_all_of_its_labels(
    manifest: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = embed(manifest, out, space=tiny_space_folder, workers=0, label_separator="|")
    assert (summary.embedded, summary.failed) == (4, 1)
    table = EmbeddingTable.open(out)
    assert set(table.column("path")) == {"audio/long.wav"}
    labels = dict(zip(table.column("region"), table.rows["label"].to_pylist(), strict=True))
    written = [["dog", "bark"], ["bark", "loud"], ["cat"], ["nan"]]
    assert labels == dict(zip(REGIONS, written, strict=True))
    items = read_items(table)
    assert items.path.tolist() == [f"audio/long.wav#{region}" for region in REGIONS]
    assert set(items.split) == {"test"}
    assert alike(items.relevance_keys("label").padded()) == ALIKE
    (direction,) = [d for d in evaluate(out).directions if d.relevance == "label"]
    assert len(direction.result.unanswerable) == 2, "the cat is alone, and nothing is known of nan"
