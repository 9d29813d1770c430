"""A dataset follows its media to another place: nothing is embedded again but what differs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.embedding.plan.moved_files import State
from mmembed.errors import StoreError, VerdictError
from mmembed.jobs.rebind import Check, rebind
from mmembed.store.lock import locked
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import Blindness, write_picture
from tests.embedding.plan.test_changes import snapshot
from tests.embedding.plan.test_moved_files import same_size_other_content
from tests.jobs.copied_media import WAYS, by_fat, plainly, rows, source, with_times


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("old_is_there", [True, False])
def test_after_any_copy_nothing_is_embedded_again(
    media: Path,
    out: Path,
    new: Path,
    eyes: Path,
    way: Callable[[Path, Path], None],
    old_is_there: bool,
) -> None:
    way(media, new)
    if not old_is_there:
        shutil.rmtree(media)
    before, vectors = rows(out), EmbeddingTable.open(out).vectors.tobytes()
    encodings = [pq.read_metadata(part).row_group(0).column(7).encodings for part in out.glob("p*")]
    with pytest.raises(StoreError, match="holds the vectors of .*media, not of .*new"):
        embed(new, out, space=eyes, workers=0)
    summary = rebind(out, new)
    assert (summary.files, summary.same, summary.different, summary.new) == (21, 21, 0, 0)
    assert summary.by_old_source == (21 if old_is_there else 0)
    assert source(out) == str(new)
    assert rows(out) == before
    assert EmbeddingTable.open(out).vectors.tobytes() == vectors
    after = [pq.read_metadata(part).row_group(0).column(7).encodings for part in out.glob("p*")]
    assert after == encodings
    unchanged = snapshot(out)
    again = embed(new, out, space=eyes, workers=0)
    assert (again.embedded, again.failed, again.removed, again.kept) == (0, 0, 0, 21)
    assert snapshot(out) == unchanged  # not even a part is written


def test_a_dataset_that_is_not_rebound_would_embed_a_rounded_copy_again(
    media: Path, out: Path, new: Path, eyes: Path
) -> None:
    by_fat(media, new)
    shutil.rmtree(media)
    shutil.copytree(new, media)  # put back in its place, as from a backup
    planned = embed(media, out, space=eyes, workers=0, dry_run=True)
    assert planned.to_do == 21
    summary = rebind(out, media)
    assert (summary.same, summary.other_time, summary.by_old_source) == (21, 21, 0)
    assert "21 files taken for the same by size alone, as there are neither" in str(summary)
    assert embed(media, out, space=eyes, workers=0).kept == 21
    unchanged = snapshot(out)
    assert rebind(out, media).rewritten == 0
    assert snapshot(out) == unchanged


def test_what_differs_is_named_and_embedded_anew_by_the_next_run_and_nothing_else(
    media: Path, out: Path, new: Path, eyes: Path, capsys: pytest.CaptureFixture
) -> None:
    with_times(media, new)  # a copy that went wrong keeps the times
    (new / "0/00.png").unlink()
    write_picture(new / "1/01.png", 50, (10, 10))
    time_ns = (new / "2/02.png").stat().st_mtime_ns
    same_size_other_content(new / "2/02.png")
    os.utime(new / "2/02.png", ns=(time_ns, time_ns))
    write_picture(new / "more.png", 60)
    before = {row["path"]: row for row in rows(out)}
    unchanged = snapshot(out)
    assert main(["rebind", str(out), str(new), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "dry run: nothing was written" in said
    assert snapshot(out) == unchanged
    assert main(["rebind", str(out), str(new)]) == 0
    said = capsys.readouterr().out
    for line in (
        f"21 files of the dataset, looked for in {new}:",
        "18  are there with the same size",
        "1  have another size: 1/01.png",
        "1  have the same size, but hold something else: 2/02.png",
        "1  are not there: 0/00.png",
        "1  more files are there",
        "content: 19 files compared with the old source",
        "embeds 3 files (2 of them anew) and takes out the rows of 1; all others stay",
        "no file was embedded",
    ):
        assert line in said
    assert {row["path"]: row for row in rows(out)} == before  # until then they stay
    again = rebind(out, new)  # what is known to differ stays known, whatever is there by now
    assert again.names[State.OTHER_CONTENT] == ["2/02.png"]
    shutil.rmtree(media)
    assert rebind(out, new).names[State.OTHER_CONTENT] == ["2/02.png"]
    summary = embed(new, out, space=eyes, workers=0)
    assert (summary.embedded + summary.failed, summary.removed, summary.kept) == (3, 3, 18)
    after = {row["path"]: row for row in rows(out)}
    same = set(before) - {"0/00.png", "1/01.png", "2/02.png"}
    assert {path: after[path] for path in same} == {path: before[path] for path in same}
    assert rebind(out, new, Check(strict=True)).different == 0


def test_strict_binds_and_fails_while_a_file_differs(
    media: Path, out: Path, new: Path, capsys: pytest.CaptureFixture
) -> None:
    plainly(media, new)
    (new / "0/00.png").unlink()
    with pytest.raises(VerdictError, match="1 files of .*out are not there as they were"):
        rebind(out, new, Check(strict=True), dry_run=True)
    assert source(out) == str(media)
    assert main(["rebind", str(out), str(new), "--strict"]) == 1
    said = capsys.readouterr()
    assert "1  are not there: 0/00.png" in said.out
    assert said.err.startswith("mmembed: error: --strict: 1 files of ")
    assert source(out) == str(new)


def test_if_one_file_of_the_sample_differs_all_are_looked_into(
    media: Path, out: Path, new: Path, eyes: Path
) -> None:
    plainly(media, new)
    assert rebind(out, new, Check(sample=5), dry_run=True).by_old_source == 5
    said = str(rebind(out, new, Check(sample=5), dry_run=True))
    assert "5 files compared with the old source, 16 files taken for the same by size alone" in said
    for i in range(0, 20, 4):
        same_size_other_content(new / f"{i % 3}/{i:02}.png")
    summary = rebind(out, new, Check(sample=10))
    assert len(summary.names[State.OTHER_CONTENT]) == 5
    assert summary.by_old_source == 21
    again = embed(new, out, space=eyes, workers=0)
    assert (again.embedded + again.failed, again.kept) == (5, 16)


def test_checksums_of_the_dataset_tell_what_differs_when_the_old_source_is_gone(
    media: Path, out: Path, new: Path, eyes: Path
) -> None:
    embed(media, out, space=eyes, workers=0, checksum=True)  # added later
    media.rename(new)
    for i in (3, 4):
        same_size_other_content(new / f"{i % 3}/{i:02}.png")
    summary = rebind(out, new, Check(checksum=True))
    assert (summary.by_checksum, summary.by_old_source, summary.same) == (21, 0, 19)
    assert sorted(summary.names[State.OTHER_CONTENT]) == ["0/03.png", "1/04.png"]
    assert "content: 21 files compared with the dataset's checksums" in str(summary)
    again = embed(new, out, space=eyes, workers=0, checksum=True)
    assert (again.embedded + again.failed, again.removed, again.kept) == (2, 2, 19)


@pytest.mark.parametrize("what", ["other names", "other sizes", "other content", "part of it"])
def test_a_folder_of_other_media_is_refused_in_a_line_and_nothing_is_changed(
    media: Path, out: Path, new: Path, what: str
) -> None:
    plainly(media, new)
    if what == "other names":
        (new / "0").rename(new / "a")
        (new / "1").rename(new / "b")
    for i, path in enumerate(sorted(new.rglob("*.png"))):
        if what == "other sizes" and i % 4:
            path.write_bytes(path.read_bytes() + b"more")
        elif what == "other content" and i % 4:
            same_size_other_content(path)
        elif what == "part of it" and i % 4:
            path.unlink()
    words = {
        "other names": "of 21, 14 are not there",
        "other sizes": "of 21, 15 have another size",
        "other content": r"of 21 \(6 were looked into\), 5 have the same size, but hold",
        "part of it": "of 21, 15 are not there",
    }
    before = snapshot(out)
    with pytest.raises(StoreError, match=f"new: holds other files than .*: {words[what]}") as error:
        rebind(out, new, Check(sample=6))
    assert str(error.value).endswith("Nothing was changed.")
    assert snapshot(out) | {".lock": 0} == before | {".lock": 0}


def test_what_can_not_be_seen_is_bound_when_it_can(
    media: Path, out: Path, new: Path, eyes: Path, blindness: Blindness
) -> None:
    plainly(media, new)
    blindness.hidden = {new / "0"}
    summary = rebind(out, new)
    assert len(summary.names[State.UNSEEN]) == 7
    assert "bind it again once the 7 files that can't be seen now are back" in str(summary)
    assert embed(new, out, space=eyes, workers=0).unseen_kept == 7
    blindness.hidden = set()
    assert rebind(out, new).same == 21
    again = embed(new, out, space=eyes, workers=0)
    assert (again.embedded, again.failed, again.kept) == (0, 0, 21)


def test_globs_and_a_dataset_inside_its_source_move_with_it(
    media: Path, new: Path, eyes: Path
) -> None:
    (media / "notes.txt").write_text("no picture")
    inside = media / "vectors"
    embed(media, inside, space=eyes, workers=0, include="*.png", exclude="2")
    plainly(media, new)
    summary = rebind(new / "vectors", new)
    assert (summary.files, summary.same, summary.new) == (15, 15, 0)
    again = embed(new, new / "vectors", space=eyes, workers=0, include="*.png", exclude="2")
    assert (again.kept, again.embedded, again.removed) == (15, 0, 0)


def test_errors_move_too_and_are_not_tried_again(
    media: Path, out: Path, new: Path, eyes: Path
) -> None:
    before = read_errors(out).drop_columns("mtime_ns")
    plainly(media, new)
    rebind(out, new)
    assert read_errors(out).drop_columns("mtime_ns").equals(before)
    assert embed(new, out, space=eyes, workers=0).kept_failed == 1


def test_shards_find_their_files_in_the_new_place(
    media: Path, new: Path, eyes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sharded"
    for i in (1, 2, 3):
        embed(media, out, space=eyes, workers=0, shard=f"{i}/3")
    plainly(media, new)
    with locked(out, "1-of-3"), pytest.raises(StoreError, match="another run is writing to it"):
        rebind(out, new)
    rebind(out, new)
    again = [embed(new, out, space=eyes, workers=0, shard=f"{i}/3") for i in (1, 2, 3)]
    assert sum(summary.kept for summary in again) == 21
    assert {(summary.embedded, summary.removed) for summary in again} == {(0, 0)}


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar")
def test_a_copy_by_the_system_s_tar_is_the_same(
    media: Path, out: Path, new: Path, eyes: Path
) -> None:
    archive = new.with_suffix(".tar")
    subprocess.run(["tar", "--format=ustar", "-cf", archive, "-C", media, "."], check=True)
    new.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", new], check=True)
    assert rebind(out, new).other_time == 21
    assert embed(new, out, space=eyes, workers=0).kept == 21
