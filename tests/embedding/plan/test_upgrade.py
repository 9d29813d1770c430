"""An upgrade embeds anew what is decoded otherwise now, whatever stops it, and mixes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmembed.embedding.embed import embed
from mmembed.errors import StoreError
from mmembed.media.decode_revision import DECODE_REVISION
from mmembed.store.dataset import EmbeddingDataset
from mmembed.store.table import EmbeddingTable, read_errors
from tests.conftest import default_signals
from tests.embedding.conftest import Blindness, write_picture
from tests.embedding.plan.mixed_media import (
    CHANGED,
    CLIPS,
    PICTURES,
    SOUNDS,
    mirror,
    revisions,
    write_mixed,
)
from tests.embedding.plan.test_changes import Runs, snapshot
from tests.embedding.test_long_media import write_film

pytestmark = pytest.mark.usefixtures("first_revisions")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return write_mixed(tmp_path / "media")


@pytest.fixture
def runs(media: Path, tiny_space_folder: Path, tmp_path: Path) -> Runs:
    """Runs whose parts hold files of every modality."""
    return Runs(media, tmp_path / "out", tiny_space_folder)


def test_an_upgrade_embeds_files_of_that_modality_anew_and_no_other(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs()
    before = EmbeddingTable.open(runs.out)
    mirror(monkeypatch)
    planned = runs(upgrade=True, dry_run=True)
    done = runs(upgrade=True)
    again = PICTURES + 1  # torn.png may be a picture to another decoder
    assert (planned.upgraded, planned.to_do, planned.kept) == (again, again, SOUNDS + CLIPS + 1)
    assert (done.upgraded, done.embedded, done.failed) == (again, PICTURES, 1)
    assert done.rows == {"image": PICTURES}
    assert (done.removed, done.retried, done.kept) == (0, 0, SOUNDS + CLIPS + 1)
    runs.equals_a_fresh_run()
    after = EmbeddingTable.open(runs.out)
    rows = [dict(zip(t.column("id"), t.vectors, strict=True)) for t in (before, after)]
    kinds = dict(zip(after.column("id"), after.column("modality"), strict=True))
    differ = {kinds[i] for i in rows[0] if np.abs(rows[0][i] - rows[1][i]).max() > 1e-4}
    assert differ == {"image"}
    card = json.loads((runs.out / "_mmembed.json").read_text())
    assert card["decode_revision"] == {**DECODE_REVISION, "image": 2}
    settled = snapshot(runs.out)
    assert runs(upgrade=True).embedded == runs().embedded == 0
    assert snapshot(runs.out) == settled


def test_an_upgrade_of_nothing_writes_nothing(runs: Runs) -> None:
    runs()
    before = snapshot(runs.out)
    summary = runs(upgrade=True)
    assert (summary.upgraded, summary.embedded) == (0, 0)
    assert "decoded otherwise" not in str(summary)
    assert snapshot(runs.out) == before


@pytest.mark.parametrize("step", range(0, 6))
def test_wherever_an_upgrade_is_stopped_no_two_revisions_are_mixed(
    runs: Runs, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs()
    parts = len(list(runs.out.glob("part-*")))
    assert parts == 3
    mirror(monkeypatch)
    commit, left = EmbeddingDataset.commit, step

    def stopping(*given: object) -> object:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return commit(*given)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingDataset, "commit", stopping)
        with contextlib.suppress(KeyboardInterrupt):
            runs(upgrade=True)
    assert all(len(kinds) == 1 for kinds in revisions(runs.out).values())
    EmbeddingTable.open(runs.out)
    if 1 in revisions(runs.out)["image"]:
        with pytest.raises(StoreError, match=CHANGED):
            runs()
        runs(upgrade=True)
    else:  # what is left to do needs no upgrade any more
        runs()
    assert revisions(runs.out) == {"image": {2}, "audio": {1}, "video": {1}}
    runs.equals_a_fresh_run()


KILLED = """
import os, signal, sys
from mmembed.cli.commands import main
from mmembed.media.decode_revision import DECODE_REVISION
from mmembed.store.dataset import EmbeddingDataset

DECODE_REVISION.update(dict.fromkeys(DECODE_REVISION, 1), image=2)
commit, left = EmbeddingDataset.commit, [int(sys.argv.pop(1))]

def killed(*given):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return commit(*given)

EmbeddingDataset.commit = killed
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("step", [1, 4])
def test_a_process_that_is_killed_in_an_upgrade_is_gone_on_with(runs: Runs, step: int) -> None:
    runs()
    words = ["embed", str(runs.media), str(runs.out), "--space", str(runs.space), "--workers", "0"]
    words += ["--chunk_files", "3", "--upgrade"]

    def upgrade(step: int) -> int:
        command = [sys.executable, "-c", KILLED, str(step), *words]
        done = subprocess.run(command, capture_output=True, preexec_fn=default_signals)
        return done.returncode

    assert upgrade(step) == -signal.SIGKILL
    assert all(len(kinds) == 1 for kinds in revisions(runs.out).values())
    assert upgrade(-1) == 0
    assert revisions(runs.out) == {"image": {2}, "audio": {1}, "video": {1}}
    table = EmbeddingTable.open(runs.out)
    assert len(table) == len(set(table.column("id")))
    paths = {*table.column("path"), *read_errors(runs.out)["path"].to_pylist()}
    assert paths == {path.name for path in runs.media.iterdir()}


@pytest.mark.parametrize("hidden", ["3.png", "."])
def test_files_that_can_not_be_seen_are_not_left_as_they_were(
    runs: Runs, media: Path, blindness: Blindness, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    for i in range(2):
        write_picture(media / "deep" / f"{i}.png", 50 + i)
    runs()
    before = snapshot(runs.out)
    monkeypatch.setitem(DECODE_REVISION, "image", 2)
    blindness.hidden.add(media / "deep" if hidden == "." else media / hidden)
    with pytest.raises(StoreError, match="files that have to be embedded anew can't be seen now"):
        runs(upgrade=True)
    assert snapshot(runs.out) == before
    blindness.hidden.clear()
    assert runs(upgrade=True).upgraded == PICTURES + 3


def test_shards_upgrade_their_own_files_and_a_mixture_is_not_read(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in (1, 2):
        runs(shard=f"{i}/2", chunk_files=100)
    mirror(monkeypatch)
    first = runs(shard="1/2", upgrade=True)
    assert 0 < first.upgraded < PICTURES
    with pytest.raises(StoreError, match="its image rows were decoded by revision [12], but those"):
        EmbeddingTable.open(runs.out)
    with pytest.raises(StoreError, match=CHANGED):
        runs(shard="1/2")
    second = runs(shard="2/2", upgrade=True)
    assert first.upgraded + second.upgraded == PICTURES + 1
    runs.equals_a_fresh_run()


def test_a_dataset_at_a_url_is_upgraded(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"memory://upgrade-{os.getpid()}/out"
    embed(runs.media, where, space=runs.space, workers=0, chunk_files=7)
    mirror(monkeypatch)
    with pytest.raises(StoreError, match=CHANGED):
        embed(runs.media, where, space=runs.space, workers=0)
    summary = embed(runs.media, where, space=runs.space, workers=0, upgrade=True)
    assert (summary.upgraded, summary.embedded) == (PICTURES + 1, PICTURES)
    made = EmbeddingDataset.at(where).card()
    assert made is not None
    assert made.decode_revision == {**DECODE_REVISION, "image": 2}


def test_a_film_whose_sound_is_decoded_otherwise_is_embedded_whole(
    media: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(media / "film.mp4", 3.0, 3.0)
    runs(with_sound=True)
    before = sorted(EmbeddingTable.open(runs.out).column("id"))
    monkeypatch.setitem(DECODE_REVISION, "audio", 2)
    summary = runs(with_sound=True, upgrade=True)
    assert (summary.upgraded, summary.embedded) == (SOUNDS + 1, SOUNDS + 1)
    assert sorted(EmbeddingTable.open(runs.out).column("id")) == before
    assert revisions(runs.out) == {"image": {1}, "audio": {2}, "video": {1}}
    runs.equals_a_fresh_run(with_sound=True)
