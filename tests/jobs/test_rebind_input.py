"""Mistakes in a call of ``rebind`` are one line each, and what a stranger wrote is not asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.errors import ConfigError, ManifestError
from mmembed.jobs.rebind import Check, rebind
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.table import EmbeddingTable
from tests.compatibility.test_compatibility import MADE
from tests.embedding.plan.test_changes import snapshot
from tests.evaluation.conftest import dataset, digits
from tests.jobs.copied_media import plainly, source
from tests.store.mutated import ALL
from tests.store.parts import PROVENANCE, failure
from tests.store.test_mutated_dataset import PART, copied, line


def test_bad_input_is_one_line_and_exit_code_2(
    media: Path, out: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def said(*words: object) -> str:
        assert main(["rebind", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("mmembed: error: ")
        assert error.count("\n") == 1
        return error

    plainly(media, new)
    before = snapshot(out)
    assert "no part-*.parquet in it" in said(new, media)
    assert "nowhere: no such file or folder" in said(tmp_path / "nowhere", media)
    assert "no part-*.parquet in it" in said(next(out.glob("part-*")), new)
    assert "nowhere: no such folder or manifest" in said(out, tmp_path / "nowhere")
    assert "--sample 0: must be at least 1" in said(out, new, "--sample", 0)
    assert "no such folder or manifest" in said(out, new, "--old-source", tmp_path / "gone")
    assert f"--old-source {new}: is the new source itself" in said(out, new, "--old-source", new)
    (tmp_path / "list.csv").write_text("image\nnew/torn.png\n")
    assert "list.csv is no folder. Name that folder in its new place" in said(
        out, tmp_path / "list.csv"
    )
    assert "missing: source" in said(out)
    (tmp_path / "empty").mkdir()
    assert "of 21, 21 are not there" in said(out, tmp_path / "empty")
    assert snapshot(out) | {".lock": 0} == before | {".lock": 0}
    with pytest.raises(ConfigError, match="^sample=0: must be at least 1$"):
        Check(sample=0)
    with pytest.raises(ManifestError, match="nowhere: no such folder"):
        rebind(out, tmp_path / "nowhere", dry_run=True)
    (out / "_mmembed.json").unlink()
    assert "has files but no _mmembed.json, so it is no dataset" in said(out, new)


def test_an_old_source_that_is_elsewhere_by_now_can_be_named(
    media: Path, out: Path, new: Path, tmp_path: Path
) -> None:
    plainly(media, new)
    media.rename(tmp_path / "elsewhere")
    assert rebind(out, new, dry_run=True).by_old_source == 0
    check = Check(old_source=str(tmp_path / "elsewhere"))
    assert rebind(out, new, check, dry_run=True).by_old_source == 21


@pytest.mark.parametrize(
    "text", ["media", "s3://bucket/media", "http://127.0.0.1:9/media", "/dev", "/a\0b", ""]
)
def test_a_source_that_a_stranger_names_is_not_asked(
    media: Path, out: Path, new: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = json.loads((out / "_mmembed.json").read_text())
    (out / "_mmembed.json").write_text(json.dumps({**card, "source": text}))
    plainly(media, new)
    monkeypatch.chdir(tmp_path)  # where "media" would be
    summary = rebind(out, new)
    assert (summary.same, summary.by_old_source) == (21, 0)
    assert source(out) == str(new)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three modalities with an error, and a file of a byte for each of its paths."""
    folder = tmp_path_factory.mktemp("good")
    listed, vectors = digits("test", 7, np.random.default_rng(0))
    dataset(folder / "out", listed, vectors)
    (folder / "out/_errors").mkdir()
    pq.write_table(failure("bad.wav"), folder / "out/_errors" / PART)
    EmbeddingDataset(folder / "out").write_card(PROVENANCE)
    for row in listed:
        (folder / "media" / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / "media" / row["path"]).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("change", [m[1] for m in ALL], ids=[m[0] for m in ALL])
def test_a_dataset_that_was_changed_or_damaged_is_bound_whole_or_refused_in_a_line(
    change: Callable[[Path], object], good: Path, tmp_path: Path
) -> None:
    out = copied(good / "out", tmp_path / "out", change)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    opened: list[EmbeddingTable] = []
    line(lambda: opened.append(EmbeddingTable.open(out)))
    message = line(lambda: rebind(out, good / "media"))
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    after.pop(out / ".lock", None)
    if message:
        assert after == before
    else:
        assert EmbeddingDataset(out).provenance().source == str(good / "media")
        assert {path for path in before if PART in path.name} <= after.keys() <= before.keys()
    for table in opened:
        again = EmbeddingTable.open(out)
        assert again.vectors.tobytes() == table.vectors.tobytes()
        kept = [name for name in table.columns if name != "mtime_ns"]
        assert again.rows.select(kept).equals(table.rows.select(kept))


@pytest.mark.parametrize("name", ["by_folder", "by_manifest"])
def test_a_dataset_from_before_there_were_fields_is_bound(name: str, tmp_path: Path) -> None:
    shutil.copytree(MADE, tmp_path / "made", copy_function=shutil.copyfile)
    out, media = tmp_path / "made" / name, tmp_path / "made/media"
    new = media if name == "by_folder" else media / "manifest.csv"
    vectors = EmbeddingTable.open(out).vectors.tobytes()
    summary = rebind(out, new)
    assert summary.same == summary.files > 2
    assert source(out) == str(new)
    assert EmbeddingTable.open(out).vectors.tobytes() == vectors
