"""A run over a source that changed does what changed, and equals a fresh run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.embedding.progress import EmbedSummary
from mmembed.errors import ConfigError, StoreError, VerdictError
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture, write_sound
from tests.embedding.test_exactly_once import assert_same

STEP_NS = 10**9


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(30):
        write_picture(folder / f"photos/{i:02}.png", i, (20 + i % 5, 24))
    for i in range(6):
        write_sound(folder / f"sounds/{i}.wav", 0.3 + 0.6 * i, i)
    (folder / "photos/torn.png").write_bytes((folder / "photos/00.png").read_bytes()[:200])
    return folder


class Runs:
    """Runs of one source into one dataset, and into a fresh one to compare with."""

    def __init__(self, media: Path, out: Path, space: Path) -> None:
        self.media, self.out, self.space = media, out, space

    def __call__(self, **options: object) -> EmbedSummary:
        options = {"workers": 0, "chunk_files": 7, **options}
        return embed(self.media, self.out, space=self.space, **options)

    def equals_a_fresh_run(self, **options: object) -> None:
        fresh = self.out.with_name("fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        embed(self.media, fresh, space=self.space, workers=0, **options)
        assert_same(self.out, fresh)
        tables = [EmbeddingTable.open(path) for path in (self.out, fresh)]
        for name in tables[0].columns:
            values = [
                dict(zip(t.column("id"), t.rows[name].to_pylist(), strict=True)) for t in tables
            ]
            assert values[0] == values[1], name


@pytest.fixture
def runs(media: Path, tiny_space_folder: Path, tmp_path: Path) -> Runs:
    return Runs(media, tmp_path / "out", tiny_space_folder)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {p.relative_to(folder).as_posix(): p.stat() for p in folder.rglob("*")}
    return {name: (s.st_mtime_ns, s.st_size) for name, s in stats.items()}


def test_added_changed_renamed_and_deleted_files_cost_in_proportion(
    runs: Runs, media: Path
) -> None:
    runs()
    write_picture(media / "photos/new.png", 99)
    write_picture(media / "photos/03.png", 98)
    (media / "photos/04.png").rename(media / "photos/renamed.png")
    (media / "photos/05.png").unlink()
    write_picture(media / "photos/torn.png", 97)
    planned = runs(dry_run=True)
    done = runs()
    assert (planned.to_do, planned.removed, planned.kept) == (4, 4, 33)
    assert (done.embedded, done.removed, done.kept, done.failed) == (4, 4, 33, 0)
    runs.equals_a_fresh_run()


def test_finished_work_loads_no_model_nor_decoder_and_writes_nothing(runs: Runs) -> None:
    runs()
    before = snapshot(runs.out)
    program = (
        "import sys; from mmembed.cli.commands import main; main(); "
        "print(*sorted({'torch', 'av', 'soundfile', 'PIL'} & set(sys.modules)), 'loaded')"
    )
    words = ["embed", str(runs.media), str(runs.out), "--space", str(runs.space)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert "37 files found: 0 embedded, 0 failed, 37 were there already" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["loaded"]
    assert snapshot(runs.out) == before


def test_a_dry_run_writes_nothing_and_says_what_is_to_do(
    runs: Runs, media: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["embed", str(media), str(runs.out), "--space", str(runs.space), "--dry-run"]
    assert main([*words]) == 0
    said = capsys.readouterr().out
    assert "37 files found: 37 to embed, 0 are there already (0 with an error)" in said
    assert "dry run: nothing was written" in said
    assert not runs.out.exists()
    runs()
    before = snapshot(runs.out)
    (media / "photos/01.png").unlink()
    assert main([*words, "--retry-errors"]) == 0
    said = capsys.readouterr().out
    assert "36 files found: 1 to embed, 35 are there already (0 with an error)" in said
    assert "1 changed or gone since the last run" in said
    assert "1 failed before, to be tried again" in said
    assert snapshot(runs.out) == before


def test_checksums_see_content_and_not_time(runs: Runs, media: Path) -> None:
    runs(checksum=True)
    touched, changed = media / "photos/01.png", media / "sounds/2.wav"
    os.utime(touched, ns=(0, touched.stat().st_mtime_ns + STEP_NS))
    time_ns, content = changed.stat().st_mtime_ns, bytearray(changed.read_bytes())
    content[-2000:] = bytes(2000)
    changed.write_bytes(content)
    os.utime(changed, ns=(time_ns, time_ns))
    summary = runs(checksum=True)
    assert (summary.embedded, summary.removed, summary.kept) == (1, 1, 36)
    runs.equals_a_fresh_run(checksum=True)
    with pytest.raises(StoreError, match="made with checksum True, not without checksum"):
        runs()


def test_times_see_what_was_touched(runs: Runs, media: Path) -> None:
    runs()
    touched = media / "photos/01.png"
    os.utime(touched, ns=(0, touched.stat().st_mtime_ns + STEP_NS))
    summary = runs()
    assert (summary.embedded, summary.removed) == (1, 1)
    runs.equals_a_fresh_run()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_union_of_shards_is_the_whole(runs: Runs, count: int) -> None:
    counts = [runs(shard=f"{i}/{count}").files for i in range(1, count + 1)]
    assert sum(counts) == 37
    runs.equals_a_fresh_run()


def test_a_shard_leaves_the_files_of_others_alone(runs: Runs, media: Path) -> None:
    for i in (1, 2):
        runs(shard=f"{i}/2")
    for path in (media / "photos").iterdir():
        if path.name < "10":
            path.unlink()
    first = runs(shard="1/2")
    left = set(EmbeddingTable.open(runs.out).column("path"))
    second = runs(shard="2/2")
    assert first.removed + second.removed == 10
    assert min(first.removed, second.removed) > 0
    assert sum(path.startswith("photos/0") for path in left) == second.removed
    runs.equals_a_fresh_run()


def test_a_shard_refuses_to_rewrite_a_part_that_others_share(runs: Runs, media: Path) -> None:
    runs(chunk_files=100)
    (media / "photos/01.png").unlink()
    said = []
    for i in (1, 2):
        try:
            runs(shard=f"{i}/2")
        except StoreError as error:
            said.append(str(error))
    assert len(said) == 1
    assert "holds files of other shards too. Run once over the whole source" in said[0]
    runs()
    runs.equals_a_fresh_run()


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_named(runs: Runs, text: str) -> None:
    with pytest.raises(ConfigError, match=r"shard=.*: give i/n, such as 1/4 to 4/4"):
        runs(shard=text)


def test_errors_are_tried_again_only_when_asked(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.preprocess.image import ImagePreprocess

    load = ImagePreprocess.load

    def stumble(self: ImagePreprocess, source: object, *rest: object, **more: object) -> np.ndarray:
        if str(source).endswith(("03.png", "07.png")):
            raise OSError("the network share is away")
        return load(self, source, *rest, **more)

    monkeypatch.setattr(ImagePreprocess, "load", stumble)
    assert runs().failed == 3
    monkeypatch.undo()
    again = runs()
    assert (again.kept, again.kept_failed, again.failed) == (37, 3, 0)
    retried = runs(retry_errors=True)
    assert (retried.retried, retried.embedded, retried.failed, retried.kept) == (3, 2, 1, 34)
    assert read_errors(runs.out)["path"].to_pylist() == ["photos/torn.png"]
    runs.equals_a_fresh_run()


def test_strict_fails_after_all_is_written(
    runs: Runs, media: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["embed", str(media), str(runs.out), "--space", str(runs.space), "--workers", "0"]
    assert main([*words, "--strict"]) == 1
    out, error = capsys.readouterr()
    assert "36 embedded, 1 failed" in out
    assert error.splitlines()[-1].startswith("mmembed: error: --strict: 1 files have an error")
    assert main([*words, "--strict"]) == 1  # an error of an earlier run is one too
    assert main(words) == 0
    with pytest.raises(VerdictError, match="^strict: 1 files"):
        runs(strict=True)
    (media / "photos/torn.png").unlink()
    assert main([*words, "--strict"]) == 0
    runs.equals_a_fresh_run()


def test_a_part_that_can_not_be_read_is_named_and_can_be_made_anew(runs: Runs) -> None:
    runs()
    part = sorted(runs.out.glob("part-*"))[0]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(StoreError, match=rf"{part.name}: can't be read \(.*\)\. Remove it and run"):
        runs()
    part.unlink()
    assert runs().to_do == 0
    runs.equals_a_fresh_run()
