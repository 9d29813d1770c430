"""A dataset belongs to one folder or to one manifest; no other source takes out its rows."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.errors import ConfigError, ManifestError, StoreError
from mmembed.jobs.compact import compact
from mmembed.store.part_file import read_footer
from mmembed.store.provenance import Provenance
from mmembed.store.table import EmbeddingTable
from tests.embedding.conftest import write_picture
from tests.embedding.plan.test_changes import snapshot


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Ten pictures, and two manifests beside them that name six each."""
    folder = tmp_path / "media"
    for i in range(10):
        write_picture(folder / f"{i}.png", i)
    write_manifest(folder / "train.csv", range(6))
    write_manifest(folder / "test.csv", range(4, 10))
    return folder


def write_manifest(path: Path, numbers: range) -> None:
    path.write_text("image,label\n" + "".join(f"{i}.png,{i % 3}\n" for i in numbers))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def paths(out: Path) -> list[str]:
    return sorted(EmbeddingTable.open(out).column("path"))


def source(out: Path) -> str:
    return json.loads((out / "_mmembed.json").read_text())["source"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train.csv", "test.csv"),
        ("train.csv", "."),
        (".", "train.csv"),
        ("train.csv", "other/train.csv"),
        ("train.csv", "linked/train.csv"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_another_source_is_refused_and_takes_out_nothing(
    media: Path, out: Path, tiny_space_folder: Path, first: str, second: str, dry_run: bool
) -> None:
    for name in ("other", "linked"):
        write_picture(media / name / "1.png", 99)
    write_manifest(media / "other/train.csv", range(6))
    (media / "linked/train.csv").symlink_to(media / "train.csv")
    embed(media / first, out, space=tiny_space_folder, workers=0)
    before = snapshot(out)
    with pytest.raises(StoreError, match=r"holds the vectors of .*, not of .*\. Name another"):
        embed(media / second, out, space=tiny_space_folder, workers=0, dry_run=dry_run)
    assert snapshot(out) == before
    assert source(out) == os.path.normpath(media / first)
    assert EmbeddingTable.open(out).source == source(out)


def test_a_manifest_that_was_edited_takes_out_the_rows_that_it_no_longer_names(
    media: Path, out: Path, tiny_space_folder: Path
) -> None:
    embed(media / "train.csv", out, space=tiny_space_folder, workers=0)
    write_manifest(media / "train.csv", range(2, 8))
    summary = embed(media / "train.csv", out, space=tiny_space_folder, workers=0)
    assert (summary.files, summary.embedded, summary.removed, summary.kept) == (6, 2, 2, 4)
    assert "2 changed or gone since the last run" in str(summary)
    assert paths(out) == [f"{i}.png" for i in range(2, 8)]


def test_other_spellings_and_links_of_a_source_are_the_same_source(
    media: Path, out: Path, tiny_space_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(media)
    (media / "link.csv").symlink_to("train.csv")
    embed(media / "train.csv", out, space=tiny_space_folder, workers=0)
    before = snapshot(out)
    monkeypatch.chdir(media)
    for spelled in ("train.csv", "../link/train.csv", "link.csv", f"{tmp_path}/link/link.csv"):
        summary = embed(spelled, out, space=tiny_space_folder, workers=0)
        assert (summary.kept, summary.removed) == (6, 0), spelled
    assert snapshot(out) == before
    write_manifest(media / "train.csv", range(8))
    embed("link.csv", out, space=tiny_space_folder, workers=0)
    assert {read_footer(part).provenance.source for part in out.glob("part-*")} == {source(out)}
    other = tmp_path / "other"
    embed(tmp_path / "link", other, space=tiny_space_folder, workers=0)
    assert embed(".", other, space=tiny_space_folder, workers=0).removed == 0
    assert source(other) == str(tmp_path / "link")


def test_a_link_before_two_dots_is_followed(
    media: Path, out: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "far/inner").mkdir(parents=True)
    write_picture(tmp_path / "far/1.png", 1)
    write_manifest(tmp_path / "far/train.csv", range(1, 2))
    (media / "inner").symlink_to(tmp_path / "far/inner")
    embed(f"{media}/inner/../train.csv", out, space=tiny_space_folder, workers=0)
    assert source(out) == str(tmp_path / "far/train.csv")
    with pytest.raises(StoreError, match="holds the vectors of .*far/train.csv, not of"):
        embed(media / "train.csv", out, space=tiny_space_folder, workers=0)


@pytest.fixture
def older(media: Path, out: Path, tiny_space_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of ``train.csv`` as it was made when the folder stood for its manifests."""
    from mmembed.embedding import embed as folder

    with monkeypatch.context() as patch:
        patch.setattr(folder, "source_text", lambda manifest: str(manifest.parent))
        embed(media / "train.csv", out, space=tiny_space_folder, workers=0, chunk_files=2)
    assert source(out) == str(media)
    return out


def test_an_older_dataset_goes_on_with_the_manifest_that_names_its_files(
    older: Path, media: Path, tiny_space_folder: Path
) -> None:
    vectors = EmbeddingTable.open(older).vectors
    parts = {p.name: p.read_bytes() for p in older.glob("part-*")}
    summary = embed(media / "train.csv", older, space=tiny_space_folder, workers=0)
    assert (summary.kept, summary.embedded, summary.removed) == (6, 0, 0)
    assert {p.name: p.read_bytes() for p in older.glob("part-*")} == parts
    assert source(older) == str(media / "train.csv")
    write_manifest(media / "train.csv", range(1, 7))  # now it may lose rows: they are its own
    summary = embed(media / "train.csv", older, space=tiny_space_folder, workers=0)
    assert (summary.embedded, summary.removed) == (1, 1)
    assert len(EmbeddingTable.open(older)) == len(vectors)
    for other in ("test.csv", "."):
        with pytest.raises(StoreError, match="holds the vectors of .*train.csv, not of"):
            embed(media / other, older, space=tiny_space_folder, workers=0)
    compact(older)
    assert paths(older) == [f"{i}.png" for i in range(1, 7)]


def test_an_older_dataset_is_refused_to_what_may_not_have_made_it(
    older: Path, media: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    before = snapshot(older)
    said = (
        r"made from a manifest beside .*test.csv, .* 4 of the dataset's files, such as 0.png\. Go"
    )
    with pytest.raises(StoreError, match=said):
        embed(media / "test.csv", older, space=tiny_space_folder, workers=0)
    with pytest.raises(StoreError, match=r"of a manifest in .*media, not of the folder itself\."):
        embed(media, older, space=tiny_space_folder, workers=0)
    write_manifest(tmp_path / "train.csv", range(6))
    with pytest.raises(StoreError, match=r"holds the vectors of .*media, not of .*train.csv"):
        embed(tmp_path / "train.csv", older, space=tiny_space_folder, workers=0)
    assert snapshot(older) == before


def test_an_older_dataset_of_a_folder_goes_on_as_it_is(
    media: Path, out: Path, tiny_space_folder: Path
) -> None:
    embed(media, out, space=tiny_space_folder, workers=0)
    before = snapshot(out)
    made = Provenance.from_json((out / "_mmembed.json").read_text(), "")
    assert made == replace(made, source=str(media))
    assert embed(media, out, space=tiny_space_folder, workers=0).kept == 12
    assert snapshot(out) == before


def test_manifests_at_one_url_are_two_sources(media: Path, tiny_space_folder: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for path in media.iterdir():
        files.pipe(f"/two/{path.name}", path.read_bytes())
    out = "memory://two.out"
    embed("memory://two/train.csv", out, space=tiny_space_folder, workers=0)
    for other in ("memory://two/test.csv", "memory://two"):
        with pytest.raises(StoreError, match="holds the vectors of memory://two/train.csv, not of"):
            embed(other, out, space=tiny_space_folder, workers=0)
    again = embed("memory://two/train.csv", out, space=tiny_space_folder, workers=0)
    assert (again.kept, again.removed) == (6, 0)


def test_paths_that_can_not_be_used_are_named_in_one_line(
    media: Path, out: Path, tiny_space_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "file").write_text("no folder")
    long = "n" * 300
    wrong = {
        (str(tmp_path / "pipe.csv"), str(out)): "pipe.csv: is neither a folder nor a regular file",
        (str(tmp_path / long), str(out)): "can't be looked at: File name too long",
        (str(media), str(tmp_path / long)): "can't be looked at: File name too long",
        (str(media), str(tmp_path / "file/out")): "file/out: can't be made: Not a directory",
        (str(media), str(tmp_path / "file")): "file: is a file, but the dataset is a folder",
        (str(media), os.fsdecode(b"/tmp/\xff")): r"/tmp/\xff: the dataset's path has to be valid",
    }
    for (given, dataset), said in wrong.items():
        words = ["embed", given, dataset, "--space", str(tiny_space_folder), "--workers", "0"]
        assert main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    (media / "twice.csv").write_text("image,image\n1.png,2.png\n")
    with pytest.raises(ManifestError, match="column image is there twice; keep one of them"):
        embed(media / "twice.csv", out, space=tiny_space_folder)
    with pytest.raises(ConfigError, match="the dataset's path has to be valid UTF-8"):
        embed(media, os.fsdecode(b"/tmp/\xff"), space=tiny_space_folder)


def test_a_manifest_in_a_folder_whose_name_is_not_utf_8_is_embedded(
    media: Path, out: Path, tiny_space_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    odd = tmp_path / os.fsdecode(b"odd-\xff")
    media.rename(odd)
    words = ["embed", str(odd / "train.csv"), str(out), "--space", str(tiny_space_folder)]
    for embedded in (6, 0):
        assert main([*words, "--workers", "0"]) == 0
        assert f"6 files found: {embedded} embedded" in capsys.readouterr().out
    assert paths(out) == [f"{i}.png" for i in range(6)]


def test_a_part_that_is_none_of_ours_is_named_and_left(
    media: Path, out: Path, tiny_space_folder: Path
) -> None:
    embed(media / "train.csv", out, space=tiny_space_folder, workers=0)
    (part,) = out.glob("part-*")
    table = pq.read_table(part)
    halves = table.set_column(
        table.column_names.index("size"), "size", pa.array([1.5] * len(table))
    )
    for broken, said in [
        (table.drop_columns(["path"]), "has no column path"),
        (table.drop_columns(["embedding"]), "has no column embedding"),
        (halves, "its column size is not as mmembed writes it"),
    ]:
        pq.write_table(broken, part)
        before = part.read_bytes()
        write_manifest(media / "train.csv", range(1, 6))
        with pytest.raises(StoreError, match=said):
            embed(media / "train.csv", out, space=tiny_space_folder, workers=0)
        assert part.read_bytes() == before
