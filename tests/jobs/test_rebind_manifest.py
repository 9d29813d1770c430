"""A manifest that was moved with its media, its texts and ids too; another manifest is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mmembed.embedding.embed import embed
from mmembed.embedding.plan.moved_files import State
from mmembed.encoders import CategoryEncoder
from mmembed.errors import StoreError
from mmembed.jobs.rebind import rebind
from mmembed.preprocess.category import CategoryPreprocess
from mmembed.space.space import Space
from tests.conftest import tiny_encoders
from tests.embedding.plan.test_changes import snapshot
from tests.embedding.test_texts import text_encoder
from tests.jobs.copied_media import plainly, rows, source


def write_manifest(path: Path, numbers: range) -> Path:
    lines = "".join(f"{i % 3}/{i:02}.png,{i % 5}\n" for i in numbers)
    path.write_text("image,label\n" + lines)
    return path


@pytest.fixture
def manifest(media: Path) -> Path:
    return write_manifest(media / "train.csv", range(12))


@pytest.fixture
def labelled(manifest: Path, eyes: Path, tmp_path: Path) -> Path:
    embed(manifest, tmp_path / "labelled", space=eyes, workers=0, chunk_files=5)
    return tmp_path / "labelled"


@pytest.mark.parametrize("name", ["train.csv", "renamed.csv"])
def test_a_manifest_moved_with_its_media_is_the_source(
    media: Path, labelled: Path, new: Path, eyes: Path, name: str
) -> None:
    plainly(media, new)
    (new / "train.csv").rename(new / name)
    before = rows(labelled)
    summary = rebind(labelled, new / name)
    assert (summary.files, summary.same, summary.new, summary.by_old_source) == (12, 12, 0, 12)
    assert source(labelled) == str(new / name)
    assert rows(labelled) == before
    unchanged = snapshot(labelled)
    again = embed(new / name, labelled, space=eyes, workers=0)
    assert (again.embedded, again.failed, again.removed, again.kept) == (0, 0, 0, 12)
    assert snapshot(labelled) == unchanged


def test_another_manifest_beside_the_media_is_refused_and_takes_out_nothing(
    media: Path, labelled: Path, new: Path
) -> None:
    plainly(media, new)
    other = write_manifest(new / "test.csv", range(8, 20))
    before = snapshot(labelled)
    with pytest.raises(StoreError, match=r"test.csv: holds other files than .* of 12, 8 are not"):
        rebind(labelled, other)
    with pytest.raises(StoreError, match=r"new is a folder. Name that manifest in its new place"):
        rebind(labelled, new)
    assert snapshot(labelled) | {".lock": 0} == before | {".lock": 0}
    assert source(labelled) == str(media / "train.csv")


def test_files_that_a_manifest_names_and_that_were_left_behind_are_gone(
    media: Path, labelled: Path, new: Path, eyes: Path
) -> None:
    plainly(media, new)
    (new / "0/00.png").unlink()
    summary = rebind(labelled, new / "train.csv")
    assert summary.names[State.GONE] == ["0/00.png"]
    again = embed(new / "train.csv", labelled, space=eyes, workers=0)
    assert (again.embedded, again.failed, again.removed, again.kept) == (0, 1, 1, 11)


def test_files_at_absolute_paths_stay_where_they_are(
    media: Path, eyes: Path, new: Path, tmp_path: Path
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/all.csv").write_text(f"image\n{media}/0/00.png\n{media}/1/01.png\n")
    out = tmp_path / "absolute"
    embed(tmp_path / "lists/all.csv", out, space=eyes, workers=0)
    plainly(tmp_path / "lists", new)
    summary = rebind(out, new / "all.csv")
    assert (summary.same, summary.other_time, summary.by_old_source) == (2, 0, 0)  # no copies
    assert embed(new / "all.csv", out, space=eyes, workers=0).kept == 2


def test_an_older_dataset_that_names_the_folder_of_its_manifest_is_bound_to_the_manifest(
    media: Path, labelled: Path, new: Path, eyes: Path
) -> None:
    card = labelled / "_mmembed.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "source": str(media)}))
    plainly(media, new)
    assert rebind(labelled, new / "train.csv").by_old_source == 12
    assert source(labelled) == str(new / "train.csv")
    assert embed(new / "train.csv", labelled, space=eyes, workers=0).kept == 12


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of pictures, two fields of texts, and tags."""
    torch.manual_seed(0)
    tags = CategoryPreprocess().fitted(['["red", "blue"]'])
    encoders = {
        "image": tiny_encoders()["image"],
        "title": text_encoder(),
        "body": text_encoder(),
        "tags": CategoryEncoder(width=8, preprocess=tags),
    }
    made = Space(encoders, dim=8, name="reading").eval()
    return made.save(tmp_path_factory.mktemp("reading"))


def write_articles(path: Path, bodies: list[str]) -> Path:
    columns = {
        "id": [f"{i}" for i in range(6)],
        "image": [f"{i % 3}/{i:02}.png" for i in range(6)],
        "title": [f"title {i}" for i in range(6)],
        "body": bodies,
        "tags": [["red"], ["blue", "red"], None, ["blue"], ["red"], None],
        "meta_page": [f"{10 - i}" for i in range(6)],
    }
    pq.write_table(pa.table(columns), path)
    return path


BODIES = [f"two blue birds {i}" for i in range(6)]


@pytest.mark.parametrize("name", ["articles.parquet", "a.parquet", "zz.parquet"])
@pytest.mark.parametrize("chunk_files", [4, 512])
def test_texts_and_ids_in_cells_go_with_the_manifest_whatever_it_is_called_now(
    media: Path, new: Path, reading: Path, tmp_path: Path, name: str, chunk_files: int
) -> None:
    out, manifest = tmp_path / "articles", write_articles(media / "articles.parquet", BODIES)
    embed(manifest, out, space=reading, workers=0, chunk_files=chunk_files)
    before = {row["id"]: row for row in rows(out)}
    assert len(before) == 22
    plainly(media, new)
    shutil.move(new / "articles.parquet", new / name)
    summary = rebind(out, new / name)
    assert (summary.files, summary.same, summary.by_old_source) == (22, 22, 6)
    after = {row["id"]: row for row in rows(out)}
    for key, row in before.items():
        path = row["path"] if row["cell"] is None else name
        assert after[key] == {**row, "path": path}
    unchanged = snapshot(out)
    again = embed(new / name, out, space=reading, workers=0)
    assert (again.embedded, again.failed, again.removed, again.kept) == (0, 0, 0, 22)
    assert snapshot(out) == unchanged
    for part in out.glob("part-*"):  # sorted as the contract says
        keys = [
            (row["path"], row["field"], row["cell"] or "", row["segment_index"] or 0)
            for row in pq.read_table(part).to_pylist()
        ]
        assert keys == sorted(keys)


def test_a_text_that_says_something_else_is_named_and_embedded_anew(
    media: Path, new: Path, reading: Path, tmp_path: Path
) -> None:
    out, manifest = tmp_path / "articles", write_articles(media / "articles.parquet", BODIES)
    embed(manifest, out, space=reading, workers=0)
    plainly(media, new)
    write_articles(new / "articles.parquet", [*BODIES[:5], "two grey birds 5"])
    summary = rebind(out, new / "articles.parquet")
    assert summary.names[State.OTHER_CONTENT] == ["articles.parquet: id:5#0"]
    again = embed(new / "articles.parquet", out, space=reading, workers=0)
    assert (again.embedded, again.removed, again.kept) == (1, 1, 21)
