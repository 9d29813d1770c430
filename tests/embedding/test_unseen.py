"""Files that can't be seen are not gone: their rows stay, are counted, and are not made twice."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.embedding.progress import EmbedSummary
from mmembed.errors import ManifestError, VerdictError
from mmembed.store.table import read_errors
from tests.embedding.conftest import Blindness, write_picture
from tests.embedding.plan.test_changes import snapshot


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(6):
        write_picture(folder / f"a/{i}.png", i)
        write_picture(folder / f"b/deep/{i}.png", 10 + i)
    write_picture(folder / "top.png", 30)
    (folder / "b/deep/torn.png").write_bytes((folder / "a/0.png").read_bytes()[:200])
    return folder


class Runs:
    """Runs of one source into one dataset."""

    def __init__(self, source: Path, out: Path, space: Path) -> None:
        self.source, self.out, self.space = source, out, space

    def __call__(self, **options: object) -> EmbedSummary:
        options = {"workers": 0, "chunk_files": 4, **options}
        return embed(self.source, self.out, space=self.space, **options)

    def rows(self) -> dict[str, dict]:
        """All of each row, its vector too, by path."""
        table = pa.concat_tables(pq.read_table(p) for p in sorted(self.out.glob("part-*")))
        rows = {row["path"]: row for row in table.to_pylist()}
        assert len(rows) == len(table)
        return rows

    def errors(self) -> dict[str, str]:
        return {row["path"]: row["message"] for row in read_errors(self.out).to_pylist()}


@pytest.fixture
def runs(media: Path, tiny_space_folder: Path, tmp_path: Path) -> Runs:
    return Runs(media, tmp_path / "out", tiny_space_folder)


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("how", ["hidden", "midway"])
def test_rows_and_errors_below_a_folder_that_can_not_be_listed_stay(
    runs: Runs, media: Path, blindness: Blindness, error: int, how: str
) -> None:
    runs()
    before = runs.rows()
    (media / "a/1.png").unlink()
    write_picture(media / "b/deep/new.png", 40)
    getattr(blindness, how).add(media / "b")
    blindness.error = error
    away = runs()
    assert (away.files, away.kept, away.failed, away.removed) == (7, 6, 1, 1)
    assert (away.unseen, away.unseen_kept) == (1, 7)
    said = os.strerror(error if how == "hidden" else errno.ESTALE)
    assert "1 files or folders can't be seen now: rows and errors of 7 files are kept" in str(away)
    assert f"× list: can't be listed: {said}" in str(away)
    assert runs.rows() == {path: row for path, row in before.items() if path != "a/1.png"}
    assert runs.errors()["b"] == f"can't be listed: {said}"
    assert set(runs.errors()) == {"b", "b/deep/torn.png"}
    unchanged = snapshot(runs.out)
    again = runs()
    assert (again.kept, again.kept_failed, again.failed, again.unseen_kept) == (7, 1, 0, 7)
    assert snapshot(runs.out) == unchanged
    planned = runs(dry_run=True)
    assert (planned.to_do, planned.unseen, planned.unseen_kept) == (0, 1, 7)
    assert "rows and errors of 7 files are to be kept as they were" in str(planned)

    getattr(blindness, how).clear()
    back = runs()
    assert (back.embedded, back.failed, back.removed, back.unseen) == (1, 0, 1, 0)
    assert set(runs.errors()) == {"b/deep/torn.png"}
    after = runs.rows()
    assert after.pop("b/deep/new.png")
    assert after == {path: row for path, row in before.items() if path != "a/1.png"}
    done = runs()
    assert (done.embedded, done.failed, done.removed, done.kept) == (0, 0, 0, 14)


def test_a_file_that_can_not_be_looked_at_keeps_its_rows_or_has_an_error(
    runs: Runs, media: Path, blindness: Blindness
) -> None:
    write_picture(media / "new.png", 50)
    blindness.hidden = {media / "new.png"}
    first = runs()
    assert (first.unseen, first.unseen_kept) == (1, 0)
    assert runs.errors()["new.png"] == "can't be looked at: Permission denied"
    before = runs.rows()
    blindness.hidden = {media / "top.png", media / "b/deep/torn.png"}
    blindness.error = errno.EIO
    away = runs()
    assert (away.embedded, away.removed, away.unseen, away.unseen_kept) == (1, 1, 2, 2)
    after = runs.rows()
    assert after.pop("new.png")
    assert after == before
    assert set(runs.errors()) == {"b/deep/torn.png"}
    assert (away.kept, away.kept_failed, away.to_do) == (14, 1, 0)
    blindness.hidden.clear()
    done = runs()
    assert (done.embedded, done.removed, done.kept, done.unseen) == (0, 0, 15, 0)


def test_shards_keep_what_none_of_them_can_see(
    runs: Runs, media: Path, blindness: Blindness
) -> None:
    for i in (1, 2):
        runs(shard=f"{i}/2")
    before = runs.rows()
    blindness.hidden = {media / "b"}
    away = [runs(shard=f"{i}/2") for i in (1, 2)]
    assert [summary.unseen for summary in away] == [1, 1]
    assert sum(summary.unseen_kept for summary in away) == 7
    assert sum(summary.failed for summary in away) == 1
    assert runs.rows() == before


def test_with_checksums_what_can_not_be_read_keeps_its_rows(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.embedding.plan import catalog

    runs(checksum=True)
    before, read = runs.rows(), catalog.checksum

    def refuse(location: str) -> str:
        if location.endswith("top.png"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(location)

    monkeypatch.setattr(catalog, "checksum", refuse)
    away = runs(checksum=True)
    assert (away.unseen, away.unseen_kept, away.removed, away.failed) == (1, 1, 0, 0)
    assert runs.rows() == before


def test_labels_of_a_file_that_can_not_be_seen_follow_the_manifest(
    media: Path, tiny_space_folder: Path, tmp_path: Path, blindness: Blindness
) -> None:
    manifest = media / "all.csv"
    manifest.write_text("image,label\na/0.png,one\na/1.png,two\n")
    runs = Runs(manifest, tmp_path / "out", tiny_space_folder)
    runs()
    vectors = {path: row["embedding"] for path, row in runs.rows().items()}
    manifest.write_text("image,label\na/0.png,uno\na/1.png,due\n")
    blindness.hidden = {media / "a/1.png"}
    away = runs()
    assert (away.unseen, away.unseen_kept, away.removed, away.failed) == (1, 1, 0, 0)
    assert {path: row["label"] for path, row in runs.rows().items()} == {
        "a/0.png": "uno",
        "a/1.png": "due",
    }
    assert {path: row["embedding"] for path, row in runs.rows().items()} == vectors


def test_rows_below_a_link_stay_while_it_leads_nowhere(
    runs: Runs, media: Path, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    (media / "b").rename(drive)
    (media / "b").symlink_to(drive)
    runs()
    before = runs.rows()
    drive.rename(tmp_path / "away")
    away = runs()
    assert (away.failed, away.removed, away.unseen, away.unseen_kept) == (1, 0, 0, 7)
    assert "links to folders lead nowhere now: rows and errors of 7 files are kept" in str(away)
    assert runs.rows() == before
    assert runs.errors()["b"] == "is a link to nothing"
    (tmp_path / "away").rename(drive)
    back = runs()
    assert (back.embedded, back.removed, back.kept, back.unseen_kept) == (0, 1, 14, 0)
    assert runs.rows() == before


@pytest.mark.parametrize("shard", [None, "1/2"])
def test_a_source_of_which_nothing_is_there_loses_no_rows(
    media: Path, tiny_space_folder: Path, tmp_path: Path, shard: str | None
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "a.csv").write_text("image\n../media/a/0.png\n../media/a/1.png\n")
    for i in range(6):
        (links / f"{i}.png").symlink_to(media / f"a/{i}.png")
    sources = {"folder": links, "manifest": links / "a.csv"}
    runs = {name: Runs(at, tmp_path / name, tiny_space_folder) for name, at in sources.items()}
    before = {name: (run(shard=shard), run.rows())[1] for name, run in runs.items()}
    away = media.rename(tmp_path / "away")
    (links / "a.csv").rename(links / ".kept")
    with pytest.raises(ManifestError, match=r"links: none of its 6 files is there, so the rows in"):
        runs["folder"](shard=shard)
    (links / ".kept").rename(links / "a.csv")
    with pytest.raises(ManifestError, match=r"If the files are gone for good, remove it"):
        runs["manifest"](dry_run=True, shard=shard)
    shutil.move(away, media)
    assert {name: run.rows() for name, run in runs.items()} == before


@pytest.mark.parametrize("shard", [None, "1/2"])
def test_a_source_that_is_empty_or_can_not_be_listed_is_refused(
    runs: Runs, media: Path, blindness: Blindness, shard: str | None
) -> None:
    runs(shard=shard)
    before = snapshot(runs.out)
    blindness.hidden = {media}
    with pytest.raises(ManifestError, match="media: can't be l.* Permission denied"):
        runs(shard=shard)
    blindness.hidden.clear()
    shutil.rmtree(media)
    media.mkdir()
    with pytest.raises(ManifestError, match="media: no files in it"):
        runs(shard=shard)
    assert snapshot(runs.out) == before


def test_strict_fails_while_something_can_not_be_seen(
    runs: Runs, media: Path, blindness: Blindness
) -> None:
    (media / "b/deep/torn.png").unlink()
    assert runs(strict=True).all_failed == 0
    blindness.hidden = {media / "top.png"}
    with pytest.raises(VerdictError, match="^strict: 1 files or folders could not be seen"):
        runs(strict=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees everything")
def test_a_folder_without_permission_keeps_its_rows(
    runs: Runs, media: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["embed", str(media), str(runs.out), "--space", str(runs.space), "--workers", "0"]
    assert main(words) == 0
    before = runs.rows()
    (media / "link").symlink_to(media / "b/deep")
    (media / "b").chmod(0)
    try:
        assert main(words) == 0
    finally:
        (media / "b").chmod(0o755)
    assert "2 files or folders can't be seen now: rows and errors of 7" in capsys.readouterr().out
    assert runs.rows() == before
    assert set(runs.errors()) == {"b", "link", "b/deep/torn.png"}
