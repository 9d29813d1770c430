"""Folders and manifests become one table of samples, or one clear error."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from PIL import Image

from mmembed import modality
from mmembed.data.manifest import read_samples
from mmembed.errors import ManifestError
from mmembed.modality import Kind, register
from mmembed.store.manifest import COLUMNS, read_manifest
from tests.embedding.conftest import Blindness, blindness  # noqa: F401
from tests.store.test_manifest import write

FIELDS = {kind: kind for kind in ("image", "audio", "video", "text")}
ROWS = {"image": ["a/1.png", "a/2.png", None], "audio": [None, "2.wav", "3.wav"]}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("hello")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_every_kind_of_manifest_reads_alike(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", {**ROWS, "label": ["x", "y", "x"]})
    samples = read_samples(path, FIELDS)
    assert samples.root == tmp_path
    assert samples.table.column_names == list(COLUMNS)
    assert samples.table["image"].to_pylist() == ROWS["image"]
    assert samples.table["label"].to_pylist() == ["x", "y", "x"]
    assert samples.table["video"].to_pylist() == [None] * 3
    paths = [[], [str(tmp_path / "2.wav")], [str(tmp_path / "3.wav")]]
    assert samples.items("audio") == paths
    assert samples.items("text") == [[], [], []]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_numbers_are_taken_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".csv":
        path.write_text("image,label,id\n1.png,07,0001\n2.png,8,0002\n")
        expected = ["07", "8"], ["0001", "0002"]
    else:
        write(path, {"image": ["1.png", "2.png"], "label": [7, 8], "id": [1, 2]})
        expected = ["7", "8"], ["1", "2"]
    table = read_manifest(path)
    assert (table["label"].to_pylist(), table["id"].to_pylist()) == expected


def test_columns_of_meta_are_carried_through(tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", {"image": ["1.png"], "meta_speaker": ["ann"]})
    assert read_manifest(path)["meta_speaker"].to_pylist() == ["ann"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({**ROWS, "lable": ["x"] * 3}, "unknown column lable; did you mean label"),
        ({**ROWS, "qqq": ["x"] * 3}, "unknown column qqq; known are id, image"),
        ({**ROWS, "speaker": ["x"] * 3}, "name it meta_speaker"),
        ({"label": ["x"]}, "no column of media"),
        ({"image": pa.array([], pa.string())}, "has no rows"),
        ({"image": ["1.png", None, ""]}, "2 rows have no media at all, the first is row 1"),
        ({**ROWS, "id": ["7", "8", "7"]}, "id 7 stands in 2 rows; 1 ids are not unique"),
        (
            {**ROWS, "group": ["g", "g", "h"], "split": ["train", "test", "test"]},
            "group g is in more than one split; 1 groups are",
        ),
        (
            {**ROWS, "group": ["g", "g", "h"], "split": [None, "test", "test"]},
            "group g is in more than one split",
        ),
        ({"image": [["a.png"], ["b.png"]]}, "column image holds list"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(
    tmp_path: Path, columns: dict, message: str
) -> None:
    path = write(tmp_path / "m.parquet", columns)
    with pytest.raises(ManifestError, match=message) as caught:
        read_samples(path, FIELDS)
    assert str(path) in str(caught.value)


def test_files_that_are_no_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such folder or manifest"):
        read_samples(tmp_path / "nowhere.csv", FIELDS)
    touch(tmp_path, "notes.docx", "broken.parquet")
    with pytest.raises(ManifestError, match="a manifest ends in .parquet, .csv"):
        read_samples(tmp_path / "notes.docx", FIELDS)
    with pytest.raises(ManifestError, match="broken.parquet: can't be read"):
        read_samples(tmp_path / "broken.parquet", FIELDS)


def test_class_folders_give_labels_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "test/dog/2.JPG", "test/dog/deep/3.png", "valid/cat/4.webp")
    rows = read_samples(tmp_path, FIELDS).table.select(["image", "label", "split"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [
        ("test/dog/2.JPG", "dog", "test"),
        ("test/dog/deep/3.png", "dog", "test"),
        ("train/cat/1.jpg", "cat", "train"),
        ("valid/cat/4.webp", "cat", "val"),
    ]


def test_files_of_one_stem_are_one_sample(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/1.wav", "a/1.txt", "a/2.mp4", "b/1.jpg", "b/1.png", "b/x.pdf")
    rows = (
        read_samples(tmp_path, FIELDS).table.select(["image", "audio", "video", "text"]).to_pylist()
    )
    assert [tuple(row.values()) for row in rows] == [
        ("a/1.jpg", "a/1.wav", None, "hello"),
        (None, None, "a/2.mp4", None),
        ("b/1.jpg", None, None, None),
        ("b/1.png", None, None, None),
    ]


def test_hidden_files_are_left_out_and_links_that_go_round_end(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/.2.jpg", ".trash/3.jpg")
    os.symlink(tmp_path, tmp_path / "cat" / "again")
    assert read_samples(tmp_path, FIELDS).table["image"].to_pylist() == ["cat/1.jpg"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "readme.pdf")
    with pytest.raises(ManifestError, match="no images, sounds or videos in this folder"):
        read_samples(tmp_path, FIELDS)


def test_what_can_not_be_listed_is_left_out_with_a_warning(
    tmp_path: Path,
    blindness: Blindness,  # noqa: F811
) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg", "fish/3.jpg")
    os.mkfifo(tmp_path / "cat/pipe.jpg")
    (tmp_path / "fish/note.txt").symlink_to(tmp_path / "nothing.txt")
    blindness.hidden = {tmp_path / "dog"}
    said = r"3 files or folders are left out, the first: dog: can't be listed: Permission denied"
    with pytest.warns(UserWarning, match=said):
        samples = read_samples(tmp_path, FIELDS)
    assert samples.table["image"].to_pylist() == ["cat/1.jpg", "fish/3.jpg"]
    blindness.hidden = {tmp_path}
    with pytest.raises(ManifestError, match="can't be l.* Permission denied"):
        read_samples(tmp_path, FIELDS)


def test_a_name_that_no_table_can_hold_is_left_out_with_a_warning(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "\\xff.jpg", "é.jpg")
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb"):
            pass
    except OSError:
        pytest.skip("names are UTF-8 here")
    with pytest.warns(UserWarning, match="1 files or folders are left out, .*name is not UTF-8"):
        samples = read_samples(tmp_path, FIELDS)
    assert samples.table["image"].to_pylist() == ["1.jpg", "\\xff.jpg", "é.jpg"]


def test_files_come_before_the_folders_beside_them(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/2.jpg", "a/b/1.jpg", "a.b/0.jpg", "a/1.jpg", "c/d.jpg")
    order = ["b.jpg", "a/1.jpg", "a/2.jpg", "a/b/1.jpg", "a.b/0.jpg", "c/d.jpg"]
    assert read_samples(tmp_path, FIELDS).table["image"].to_pylist() == order


def test_a_folder_that_links_reach_twice_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "b/deep/2.jpg")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "c.jpg").symlink_to(tmp_path)  # a folder, whatever its name says
    assert read_samples(tmp_path, FIELDS).table["image"].to_pylist() == ["a/1.jpg", "a/deep/2.jpg"]


def test_training_does_not_read_urls(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"s3://bucket/m.csv: is a URL; training reads what"):
        read_samples("s3://user:secret@bucket/m.csv", FIELDS)


def test_a_field_takes_the_column_of_its_name_else_that_of_its_kind(tmp_path: Path) -> None:
    columns = {"title": ["A", "B"], "image": ["1.png", None], "item": ["7", "8"]}
    path = write(tmp_path / "m.parquet", columns)
    fields = {"title": "text", "photo": "image", "item": "category"}
    samples = read_samples(path, fields)
    assert samples.columns == {"title": "title", "photo": "image", "item": "item"}
    assert samples.items("title") == [["A"], ["B"]]
    assert samples.items("photo") == [[str(tmp_path / "1.png")], []]
    assert samples.items("item") == [['"7"'], ['"8"']]
    assert samples.split("train").columns == samples.columns


def test_an_empty_column_is_as_good_as_none(tmp_path: Path) -> None:
    columns = {"title": pa.nulls(2, pa.string()), "text": ["A", None], "image": ["1.png"] * 2}
    samples = read_samples(write(tmp_path / "m.parquet", columns), {"title": "text"})
    assert samples.items("title") == [["A"], []]


def test_a_cell_may_hold_several_texts(tmp_path: Path) -> None:
    columns = {"text": [["a cat", "", "ein Kater"], [], None], "image": ["1.png"] * 3}
    samples = read_samples(write(tmp_path / "m.parquet", columns), FIELDS)
    assert samples.items("text") == [["a cat", "ein Kater"], [], []]


def test_two_fields_of_a_kind_need_a_column_each(tmp_path: Path) -> None:
    fields = {"title": "text", "body": "text"}
    path = write(tmp_path / "m.csv", {"text": ["A"]})
    said = "field title: the manifest has no column title, and text could be for title or body"
    with pytest.raises(ManifestError, match=f"{path}: {said}. Name a column for each"):
        read_samples(path, fields)
    half = write(tmp_path / "half.csv", {"title": ["A"], "text": ["B"]})
    with pytest.raises(ManifestError, match="has no column body, and text could be for title or"):
        read_samples(half, fields)
    named = write(tmp_path / "named.csv", {"title": ["A"]})
    assert read_samples(named, fields).columns == {"title": "title"}
    assert read_samples(named, fields).items("body") == [[]]


def test_texts_of_a_folder_serve_one_field_alone(tmp_path: Path) -> None:
    touch(tmp_path, "1.txt", "1.jpg")
    assert read_samples(tmp_path, {"title": "text"}).items("title") == [["hello"]]
    with pytest.raises(ManifestError, match="files of text could be for title or body. List them"):
        read_samples(tmp_path, {"title": "text", "body": "text"})


def test_a_text_file_is_read_as_embed_reads_it_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8 + "Grüße".encode())
    (tmp_path / "b.txt").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    said = r"3 files or folders are left out, the first: b.txt: is of no known format"
    with pytest.warns(UserWarning, match=said):
        assert read_samples(tmp_path, FIELDS).items("text") == [["Grüße"]]
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "1.jpg").touch()
    with pytest.warns(UserWarning, match="the first: d.txt: is png that can't be decoded"):
        read_samples(tmp_path, FIELDS)


def test_a_picture_that_is_called_a_text_is_left_out(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "1.txt", "png")
    touch(tmp_path, "2.txt")
    with pytest.warns(UserWarning, match="the first: 1.txt: is image, and no text"):
        assert read_samples(tmp_path, FIELDS).items("text") == [["hello"]]


def test_files_of_a_modality_of_another_package_are_told_by_their_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modality, "_KINDS", modality.kinds())
    register(Kind("depth", frozenset({".depth"})))
    touch(tmp_path, "a/1.depth", "a/1.jpg", "b/2.depth")
    samples = read_samples(tmp_path, {"image": "image", "near": "depth"})
    deep = [[str(tmp_path / "a/1.depth")], [str(tmp_path / "b/2.depth")]]
    assert samples.items("near") == deep
    assert samples.table["label"].to_pylist() == ["a", "b"]
    path = write(tmp_path / "m.csv", {"depth": ["a/1.depth"]})
    assert read_samples(path, {"near": "depth"}).items("near") == deep[:1]
