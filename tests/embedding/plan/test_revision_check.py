"""Rows that were decoded otherwise are refused, and what decoded each is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.engines import part_writer
from mmembed.embedding.plan.revision_check import versions_note
from mmembed.errors import StoreError
from mmembed.jobs.compact import compact
from mmembed.media.decode_revision import DECODE_REVISION, PACKAGES
from mmembed.store.part_file import read_footer
from mmembed.store.table import EmbeddingTable
from tests.embedding.conftest import write_picture
from tests.embedding.plan.mixed_media import (
    CHANGED,
    CLIPS,
    PICTURES,
    SOUNDS,
    revisions,
    write_mixed,
)
from tests.embedding.plan.test_changes import Runs, snapshot

pytestmark = pytest.mark.usefixtures("first_revisions")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return write_mixed(tmp_path / "media")


@pytest.fixture
def runs(media: Path, tiny_space_folder: Path, tmp_path: Path) -> Runs:
    """Runs whose parts hold files of every modality."""
    return Runs(media, tmp_path / "out", tiny_space_folder)


def test_parts_and_card_name_revisions_and_libraries(runs: Runs) -> None:
    runs()
    card = json.loads((runs.out / "_mmembed.json").read_text())
    assert card["decode_revision"] == dict(DECODE_REVISION)
    assert set(card["libraries"]) == set(PACKAGES)
    for part in runs.out.glob("part-*"):
        made = read_footer(part).provenance
        assert made.decode_revision == card["decode_revision"]
        assert {"libavcodec", "libsndfile", *card["libraries"]} <= set(made.libraries)
        assert all(version[0].isdigit() for version in made.libraries.values())
        assert made.libraries["numpy"] == np.__version__


@pytest.mark.parametrize("dry_run", [False, True])
def test_rows_of_another_revision_are_refused_and_nothing_is_written(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    runs()
    write_picture(media / "new.png", 99)
    before = snapshot(runs.out)
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    with pytest.raises(StoreError, match=CHANGED):
        runs(dry_run=dry_run)
    assert snapshot(runs.out) == before


def test_the_command_says_in_one_line_what_changed_and_the_way_out(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    runs()
    capsys.readouterr()  # a slow machine shows its progress
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    monkeypatch.setitem(DECODE_REVISION, "audio", 7)
    words = ["embed", str(runs.media), str(runs.out), "--space", str(runs.space), "--workers", "0"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{runs.out}: its files were decoded otherwise than they are now" in said
    assert "audio by revision 1, now 7, image by revision 1, now 2" in said
    assert said.endswith("or embed those files again (--upgrade).\n")
    assert main([*words, "--upgrade", "--dry-run"]) == 0
    said = capsys.readouterr().out
    count = PICTURES + SOUNDS + 1
    assert f"{count} to embed, {CLIPS + 1} are there already (1 with an error)" in said
    assert f"{count} are decoded otherwise now, to be embedded anew" in said
    assert main([*words, "--upgrade"]) == 0
    said = capsys.readouterr().out
    assert f"{count} are decoded otherwise now and were embedded anew" in said
    assert main(words) == 0


def test_only_modalities_that_the_dataset_has_rows_of_count(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in media.glob("*.png"):
        path.unlink()
    runs()
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    assert runs().embedded == 0
    write_picture(media / "new.png", 1)
    assert runs().embedded == 1
    assert revisions(runs.out) == {"image": {2}, "audio": {1}, "video": {1}}
    monkeypatch.setitem(DECODE_REVISION, "image", 1)  # an older version of the package
    with pytest.raises(StoreError, match=r"image by revision 2, now 1"):
        runs()


def test_rows_of_files_that_are_gone_or_changed_need_no_upgrade(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs()
    for i in range(PICTURES - 1):
        (media / f"{i}.png").unlink()
    write_picture(media / f"{PICTURES - 1}.png", 77)
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    summary = runs()
    assert (summary.embedded, summary.removed) == (1, PICTURES)
    assert revisions(runs.out)["image"] == {2}


def test_other_versions_of_libraries_are_recorded_and_said(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs()
    old = {read_footer(part).provenance.libraries["Pillow"] for part in runs.out.glob("part-*")}
    versions = {**part_writer.decoder_versions(), "Pillow": "99.1"}
    for module in ("engines.part_writer", "job"):
        monkeypatch.setattr(f"mmembed.embedding.{module}.decoder_versions", lambda: versions)
    write_picture(media / "new.png", 99)
    (media / "0.png").unlink()  # its part is written again, but nothing in it is decoded again
    said = str(runs())
    line = f"decoded by several versions of Pillow ({', '.join(sorted({*old, '99.1'}))}): vectors"
    assert said.count(line) == 1
    by = {
        version: set(pq.read_table(part)["path"].to_pylist())
        for part in runs.out.glob("part-*")
        for version in [read_footer(part).provenance.libraries["Pillow"]]
    }
    assert by["99.1"] == {"new.png"}
    assert line in str(runs())  # as long as it is so
    assert compact(runs.out).after == 2
    assert len(EmbeddingTable.open(runs.out)) > PICTURES


def test_one_version_each_is_not_worth_a_line(runs: Runs) -> None:
    assert "several versions" not in str(runs())
    assert versions_note({"Pillow": {"11.0"}, "PyAV": set()}) == []
    assert versions_note({}) == []


def test_a_part_whose_metadata_were_lost_counts_as_the_first_revision(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs()
    for part in runs.out.glob("part-*"):
        pq.write_table(pq.read_table(part).replace_schema_metadata(None), part)
    assert runs().embedded == 0
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    with pytest.raises(StoreError, match=CHANGED):
        runs()
