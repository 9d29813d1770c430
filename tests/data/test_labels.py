"""Labels, groups and splits as training reads them: by one rule, and with a word on each change."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pyarrow as pa
import pytest

from mmembed.data.manifest import Samples, read_samples
from mmembed.errors import ManifestError
from tests.data.test_manifest import touch
from tests.store.test_manifest import write

FIELDS = {"image": "image"}
NAN = float("nan")


def read(folder: Path, suffix: str = ".parquet", **columns: object) -> Samples:
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]
    given = {"image": [f"{i}.png" for i in range(rows)], **columns}
    return read_samples(write(folder / f"m{suffix}", given), FIELDS)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_splits_have_their_three_names_however_they_are_written(
    tmp_path: Path, suffix: str
) -> None:
    written = ["Train", " validation ", "dev", "test", "Testing", "train", None]
    samples = read(tmp_path, suffix, split=written)
    expected = ["train", "val", "val", "test", "test", "train", None]
    assert samples.table["split"].to_pylist() == expected
    assert samples.notes == (
        "splits: 'Train' (1) read as train; ' validation ' (1), 'dev' (1) read as val; "
        "'Testing' (1) read as test",
    )
    assert len(samples.split("val")) == 2


def test_nothing_is_said_of_what_is_read_as_it_is_written(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = read(tmp_path, label=["cat", None, "none"], split=["train", "val", "test"])
    assert samples.notes == ()
    assert samples.table["label"].to_pylist() == ["cat", None, "none"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_placeholders_blanks_and_case_are_named_in_a_warning_each(
    tmp_path: Path, suffix: str
) -> None:
    labels = ["nan", "None", "cat ", "cat", "Cat", "NULL"]
    with pytest.warns(UserWarning, match=r"m\.\w+: \d (rows?|labels) ") as caught:
        samples = read(
            tmp_path, suffix, label=labels, group=[*"abcde", "N/A"], id=["None", *"12345"]
        )
    said = [str(warning.message) for warning in caught]
    source = f"{tmp_path / f'm{suffix}'}: "
    expected = [
        "3 rows with 'NULL' (1), 'None' (1), 'nan' (1) as label, which counts as none: leave it ",
        "1 row with 'cat ' (1) as label, read without the blanks around it: remove them",
        "2 labels that differ from another in case or blanks alone (such as 'cat' and 'Cat'), ",
        "1 row with 'N/A' (1) as group, which counts as none: leave it empty, or call such a ",
    ]
    assert [text.startswith(source + e) for text, e in zip(said, expected, strict=True)] == [1] * 4
    assert samples.table["label"].to_pylist() == [None, None, "cat", "cat", "Cat", None]
    assert samples.table["group"].to_pylist() == [*"abcde", None]
    assert samples.table["id"].to_pylist()[0] == "None"


def test_texts_and_carried_columns_stay_as_they_are_written(tmp_path: Path) -> None:
    columns = {"text": ["nan", " None ", "NULL"], "meta_note": ["nan", " x ", "None"]}
    path = write(tmp_path / "m.csv", {**columns, "id": [" a", "b ", "nan"]})
    samples = read_samples(path, {"text": "text"})
    assert samples.items("text") == [["nan"], [" None "], ["NULL"]]
    assert samples.table["meta_note"].to_pylist() == ["nan", " x ", "None"]
    assert samples.table["id"].to_pylist() == [" a", "b ", "nan"]


def test_a_number_that_is_none_is_no_label(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = read(tmp_path, label=[1.0, 2.5, NAN, None])
    assert samples.table["label"].to_pylist() == ["1", "2.5", None, None]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_group_stays_in_one_split_by_any_of_its_names(tmp_path: Path, suffix: str) -> None:
    with pytest.warns(UserWarning, match="1 row with 'a ' .1. as group, read without the blanks"):
        read(tmp_path, suffix, group=["a", "a ", "b"], split=["Train", None, "dev"])
    with pytest.raises(ManifestError, match="group a is in more than one split; 1 groups are"):
        read(tmp_path, suffix, group=["a", "a ", "b"], split=["val", "Training", "dev"])


def test_a_list_holds_several_labels_and_a_separator_makes_one(tmp_path: Path) -> None:
    lists = [["cat", " dog"], ["dog", "dog"], None, [], ["nan"]]
    with pytest.warns(UserWarning, match="as label"):
        samples = read(tmp_path, label=pa.array(lists))
    expected = [["cat", "dog"], ["dog"], None, None, None]
    assert samples.table["label"].to_pylist() == expected
    assert samples.notes == ("1 of 2 labelled rows have several labels",)
    rows = [{"image": "a.png", "label": each} for each in lists]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.warns(UserWarning, match="as label"):
        assert read_samples(tmp_path / "m.jsonl", FIELDS).table["label"].to_pylist() == expected
    path = tmp_path / "m.csv"
    path.write_text("image,label\na.png,cat | dog\nb.png,dog|\nc.png,\nd.png,nan\n")
    with pytest.warns(UserWarning, match="1 row with 'nan' .1. as label"):
        by_separator = read_samples(path, FIELDS, "|")
    assert by_separator.table["label"].to_pylist() == [["cat", "dog"], ["dog"], None, None]
    whole = read_samples(write(tmp_path / "n.csv", {"image": ["a"], "label": ["cat|dog"]}), FIELDS)
    assert whole.table["label"].to_pylist() == ["cat|dog"]


def test_numbers_are_labels_in_lists_too(tmp_path: Path) -> None:
    for kind in (pa.list_(pa.int64()), pa.large_list(pa.int8()), pa.list_(pa.int32(), 2)):
        samples = read(tmp_path, label=pa.array([[1, 2], [2, 7]], kind))
        assert samples.table["label"].to_pylist() == [["1", "2"], ["2", "7"]]


def test_lists_are_for_labels_alone(tmp_path: Path) -> None:
    for column in ("group", "split", "id"):
        with pytest.raises(ManifestError, match=f"column {column} holds list<.* no text or num"):
            read(tmp_path, **{column: [["a"], ["b"]]})
    with pytest.raises(ManifestError, match="column label holds struct<a: int64>, which is no"):
        read(tmp_path, label=[[{"a": 1}]])


def test_folders_are_splits_by_any_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "Training/cat/1.jpg", "Testing/dog/2.jpg", " Val/cat/3.jpg", "dev/dog/4.jpg")
    samples = read_samples(tmp_path, FIELDS)
    rows = samples.table.select(["image", "label", "split"]).to_pylist()
    assert sorted((row["image"][-5], row["label"], row["split"]) for row in rows) == [
        ("1", "cat", "train"),
        ("2", "dog", "test"),
        ("3", "cat", "val"),
        ("4", "dog", "val"),
    ]
    (note,) = samples.notes
    assert note.startswith("splits: 'Training' (1) read as train; ")


def test_a_folder_that_is_no_split_beside_others_that_are_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "extra/dog/2.jpg", "top.jpg")
    said = "train in it are splits, and extra are none: what is there counts as train"
    with pytest.warns(UserWarning, match=said):
        samples = read_samples(tmp_path, FIELDS)
    assert [(r["label"], r["split"]) for r in samples.table.to_pylist()] == [
        (None, None),
        ("extra", None),
        ("cat", "train"),
    ]
    with pytest.raises(ManifestError, match="is a folder; label_separator is for manifests"):
        read_samples(tmp_path, FIELDS, "|")


def test_paths_with_backslashes_and_addresses_are_read(tmp_path: Path) -> None:
    touch(tmp_path, "a b/1.png")
    cells = ["a b\\1.png", (tmp_path / "a b/1.png").as_uri(), None]
    path = write(tmp_path / "m.csv", {"image": cells, "audio": [None, None, "x\\y.wav"]})
    samples = read_samples(path, {"image": "image", "audio": "audio"})
    expected = str(tmp_path / "a b/1.png")
    assert samples.items("image") == [[expected], [expected], []]
    assert samples.items("audio") == [[], [], [str(tmp_path / "x/y.wav")]]
    assert samples.notes == (
        "2 paths with backslashes, read as slashes",
        "1 path given by address (file://)",
    )
