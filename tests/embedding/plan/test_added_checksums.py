"""Checksums added later: files that did not change get them, and nothing is embedded again."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.embedding.embed import embed
from mmembed.embedding.plan.shard import checksum
from mmembed.errors import StoreError
from mmembed.store.table import read_errors
from tests.embedding.conftest import write_picture
from tests.embedding.plan.test_changes import snapshot
from tests.embedding.test_unseen import Runs


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(20):
        write_picture(folder / f"{i % 2}/{i:02}.png", i)
    (folder / "torn.png").write_bytes((folder / "0/00.png").read_bytes()[:200])
    return folder


@pytest.fixture
def runs(media: Path, eyes: Path, tmp_path: Path) -> Runs:
    return Runs(media, tmp_path / "out", eyes)


def without_checksums(rows: dict[str, dict]) -> dict[str, dict]:
    return {
        path: {name: value for name, value in row.items() if name != "checksum"}
        for path, row in rows.items()
    }


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def test_files_that_did_not_change_get_checksums_and_keep_their_vectors(
    runs: Runs, media: Path
) -> None:
    runs()
    before = runs.rows()
    unchanged = snapshot(runs.out)
    planned = runs(checksum=True, dry_run=True)
    assert (planned.to_do, planned.removed, planned.hashed) == (0, 0, 21)
    assert "21 are there without a checksum, which is to be added" in str(planned)
    assert snapshot(runs.out) == unchanged
    summary = runs(checksum=True)
    assert (summary.embedded, summary.removed, summary.kept, summary.hashed) == (0, 0, 21, 21)
    assert "21 were there without a checksum, which was added" in str(summary)
    after = runs.rows()
    assert without_checksums(after) == before
    assert {p: row["checksum"] for p, row in after.items()} == {
        path: checksum(str(media / path)) for path in before
    }
    failed = read_errors(runs.out).to_pylist()
    assert [row["checksum"] for row in failed] == [checksum(str(media / "torn.png"))]
    unchanged = snapshot(runs.out)
    again = runs(checksum=True)
    assert (again.kept, again.hashed) == (21, 0)
    assert snapshot(runs.out) == unchanged
    with pytest.raises(StoreError, match="made with checksum True, not without checksum"):
        runs()


def test_afterwards_content_counts_and_not_time(runs: Runs, media: Path) -> None:
    runs()
    runs(checksum=True)
    for path in media.rglob("*.png"):
        touch(path)
    changed = media / "1/01.png"
    time_ns = changed.stat().st_mtime_ns
    changed.write_bytes(changed.read_bytes()[:-9] + bytes(9))
    os.utime(changed, ns=(time_ns, time_ns))
    summary = runs(checksum=True)
    assert (summary.embedded, summary.failed, summary.removed, summary.kept) in (
        (1, 0, 1, 20),
        (0, 1, 1, 20),
    )


def test_a_file_that_changed_or_was_touched_before_is_embedded_anew(
    runs: Runs, media: Path
) -> None:
    runs()
    write_picture(media / "0/00.png", 77, (30, 30))
    touch(media / "1/01.png")
    touch(media / "torn.png")
    summary = runs(checksum=True)
    assert (summary.embedded, summary.failed, summary.removed, summary.hashed) == (2, 1, 3, 18)
    fresh = Runs(media, runs.out.with_name("fresh"), runs.space)
    fresh(checksum=True)
    assert without_checksums(runs.rows()).keys() == fresh.rows().keys()
    assert {p: r["checksum"] for p, r in runs.rows().items()} == {
        p: r["checksum"] for p, r in fresh.rows().items()
    }


def test_a_run_that_was_interrupted_goes_on(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmembed.embedding.plan import changes

    runs()
    before, write_again, written = runs.rows(), changes._write_again, []

    def stop_after_two(*given: object) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write_again(*given))

    monkeypatch.setattr(changes, "_write_again", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        runs(checksum=True)
    monkeypatch.undo()
    columns = [pq.read_schema(part).names for part in runs.out.glob("part-*")]
    assert len({"checksum" in names for names in columns}) == 2
    summary = runs(checksum=True)
    assert (summary.embedded, summary.removed, summary.kept) == (0, 0, 21)
    assert without_checksums(runs.rows()) == before
    assert all(row["checksum"] for row in runs.rows().values())


def test_shards_add_those_of_their_own_files(runs: Runs) -> None:
    for i in (1, 2):
        runs(shard=f"{i}/2")
    before = runs.rows()
    first = runs(shard="1/2", checksum=True)
    assert 0 < first.hashed < 21
    assert sum(row.get("checksum") is not None for row in runs_rows(runs.out)) > 0
    with pytest.raises(StoreError, match="made with checksum True"):
        runs(shard="2/2")
    second = runs(shard="2/2", checksum=True)
    assert first.hashed + second.hashed == 21
    assert without_checksums(runs.rows()) == before


def runs_rows(out: Path) -> list[dict]:
    return [row for part in out.glob("part-*") for row in pq.read_table(part).to_pylist()]


def test_rows_of_a_file_that_can_not_be_read_stay_and_get_theirs_later(
    runs: Runs, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.embedding.plan import catalog

    runs()
    before, read = runs.rows(), catalog.checksum

    def refuse(location: str) -> str:
        if location.endswith("00.png"):
            raise PermissionError(13, "Permission denied")
        return read(location)

    monkeypatch.setattr(catalog, "checksum", refuse)
    away = runs(checksum=True)
    assert (away.unseen, away.removed, away.hashed) == (1, 0, 20)
    assert without_checksums(runs.rows()) == before
    monkeypatch.undo()
    back = runs(checksum=True)
    assert (back.embedded, back.removed, back.hashed) == (0, 0, 1)
    assert runs.rows()["0/00.png"]["checksum"] == checksum(str(media / "0/00.png"))


def test_a_manifest_gets_them_for_its_files(media: Path, eyes: Path, tmp_path: Path) -> None:
    manifest = media / "all.csv"
    lines = "".join(f"{i % 2}/{i:02}.png,{i % 3}\n" for i in range(20))
    manifest.write_text("image,label\n" + lines)
    out = tmp_path / "out"
    embed(manifest, out, space=eyes, workers=0)
    vectors = {row["path"]: row["embedding"] for row in runs_rows(out)}
    summary = embed(manifest, out, space=eyes, workers=0, checksum=True)
    assert (summary.embedded, summary.removed, summary.hashed) == (0, 0, 20)
    rows = runs_rows(out)
    assert {row["path"]: row["embedding"] for row in rows} == vectors
    assert all(row["checksum"] == checksum(str(media / row["path"])) for row in rows)
    schema = pq.read_schema(next(iter(out.glob("part-*"))))
    assert schema.field("checksum").type == pa.string()
