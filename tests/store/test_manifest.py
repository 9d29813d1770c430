"""Manifests of every kind are read alike, and a mistake in one names the file and the column."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.data.manifest import read_samples
from mmembed.embedding.plan.listing import USUAL_FIELDS, list_source
from mmembed.errors import ManifestError
from mmembed.paths import place
from mmembed.store.manifest import COLUMNS, MEDIA, read_manifest


def write(path: Path, columns: dict[str, Any]) -> Path:
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
    return path


cells = st.none() | st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n\0"'), min_size=1, max_size=6
).filter(lambda text: text.strip() == text and text.lower() not in ("null", "nan", "na", "n/a"))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_every_kind_of_manifest_holds_the_same(
    rows: list[tuple[str | None, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kinds")
    columns: dict[str, Any] = {
        "image": pa.array([row[0] or "x.png" for row in rows], pa.string()),
        "label": pa.array([row[1] for row in rows], pa.string()),
        "meta_note": pa.array([row[2] or "-" for row in rows], pa.string()),
    }
    expected = read_manifest(write(folder / "m.parquet", columns))
    assert expected["label"].to_pylist() == [row[1] for row in rows]
    assert expected.column_names == [*COLUMNS, "meta_note"]
    for suffix in (".jsonl", ".ndjson"):
        assert read_manifest(write(folder / f"m{suffix}", columns)) == expected
    by_csv = read_manifest(write(folder / "m.csv", columns))
    assert by_csv["image"].to_pylist() == expected["image"].to_pylist()
    assert by_csv["label"].to_pylist() == expected["label"].to_pylist()


def test_cells_apart_by_tabs_are_those_apart_by_commas(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_bytes(b"image\tid\tlabel\r\na, b.png\t007\tcat\r\n")
    (tmp_path / "m.csv").write_text('image,id,label\n"a, b.png",007,cat\n')
    assert read_manifest(tmp_path / "m.tsv") == read_manifest(tmp_path / "m.csv")


def test_the_ways_out_of_other_files_work(tmp_path: Path) -> None:
    columns = {"image": ["a.png", "b.png"], "id": ["007", "None"], "label": ["1.10", ""]}
    frame = pandas.DataFrame(columns)
    frame.to_feather(tmp_path / "m.feather")
    pandas.read_feather(tmp_path / "m.feather").to_parquet(tmp_path / "m.parquet")
    frame.to_csv(tmp_path / "m.csv", index=False)
    for name in ("m.parquet", "m.csv"):
        assert read_manifest(tmp_path / name)["id"].to_pylist() == ["007", "None"]
        assert read_manifest(tmp_path / name)["label"].to_pylist() == ["1.10", None]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_mark_of_utf8_at_the_beginning_is_no_part_of_a_name(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", {"image": ["é.png"], "label": ["ü"]})
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    table = read_manifest(path)
    assert (table["image"][0].as_py(), table["label"][0].as_py()) == ("é.png", "ü")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_manifest_at_a_url_is_read_as_on_disk(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"m{suffix}", {"video": ["a.mp4"], "id": ["7"]})
    fsspec.filesystem("memory").pipe(f"/manifests/m{suffix}", path.read_bytes())
    assert read_manifest(f"memory://manifests/m{suffix}") == read_manifest(path)


def test_columns_of_media_are_those_with_files() -> None:
    assert MEDIA == ("image", "audio", "video")
    assert set(MEDIA) | {"text"} <= set(COLUMNS)


def as_fit(source: Path) -> Any:
    return read_samples(source, USUAL_FIELDS)


def as_embed(source: Path) -> Any:
    return list_source(place(source), place(source.parent / "out"))


MISTAKES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nowhere": (lambda folder: folder / "m.csv", "no such folder or manifest"),
    "unknown": (
        lambda folder: write(folder / "m.csv", {"image": ["a.png"], "lable": ["x"]}),
        "unknown column lable; did you mean label",
    ),
    "stranger": (
        lambda folder: write(folder / "m.csv", {"image": ["a.png"], "colour": ["x"]}),
        "To carry it through, name it meta_colour",
    ),
    "no media": (
        lambda folder: write(folder / "m.csv", {"label": ["x"]}),
        "no column of media",
    ),
    "empty row": (
        lambda folder: write(folder / "m.jsonl", {"image": ["a.png", None], "label": ["x", "y"]}),
        "1 rows have no media at all, the first is row 1",
    ),
    "split": (
        lambda folder: write(
            folder / "m.csv", {"image": ["a", "b", "c"], "split": ["Train", "extra ", "extra"]}
        ),
        r"row 1: unknown split; 2 rows have 'extra' \(1\), 'extra ' \(1\). Known are train, val, "
        r"test \(also training, valid, .*To carry it through, name the column meta_split",
    ),
    "group": (
        lambda folder: write(
            folder / "m.jsonl",
            {"image": ["a", "b"], "group": ["g", " g"], "split": ["Training", "dev"]},
        ),
        "group g is in more than one split",
    ),
    "address": (
        lambda folder: write(folder / "m.csv", {"image": ["a.png", "file://nas/b.png"]}),
        "column image, row 1: 'file://nas/b.png' is on another machine, nas",
    ),
    "ids": (
        lambda folder: write(folder / "m.parquet", {"image": ["a", "b"], "id": ["7", "7"]}),
        "id 7 stands in 2 rows",
    ),
    "lists": (
        lambda folder: write(folder / "m.parquet", {"audio": [["a"], ["b"]]}),
        "column audio holds list",
    ),
    "no rows": (
        lambda folder: write(folder / "m.parquet", {"audio": pa.array([], pa.string())}),
        "has no rows",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("read", [as_fit, as_embed], ids=["fit", "embed"])
def test_fit_and_embed_say_the_same_of_the_same_mistake(
    mistake: str, read: Callable[[Path], Any], tmp_path: Path
) -> None:
    make, said = MISTAKES[mistake]
    path = make(tmp_path)
    with pytest.raises(ManifestError, match=said) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [as_fit, as_embed], ids=["fit", "embed"])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.docx", b"x", "a manifest ends in .parquet, .csv, .jsonl, .ndjson"),
        (
            "my list.xlsx",
            b"PK",
            "is a spreadsheet. Save it as CSV UTF-8 there, or by pandas.read_excel"
            r"\('my list.xlsx', dtype=str, keep_default_na=False\)"
            r".to_csv\('my list.csv', index=False\)",
        ),
        ("m.XLS", b"", "is a spreadsheet. Save it as CSV UTF-8"),
        ("m.ods", b"", "is a spreadsheet. Save it as CSV UTF-8"),
        ("my.json", b"[]", r"is JSON. .* make lines of it by jq -c '.\[\]' my.json > my.jsonl"),
        ("m.feather", b"", r"is an Arrow file. .*read_feather\('m.feather'\).to_parquet\('m.p"),
        ("m.arrow", b"", "is an Arrow file. Make Parquet of it by pandas"),
        ("m.csv.gz", b"", "is compressed. Unpack it"),
        ("m.csv", b"image;label\na.png;x\n", "has one column, 'image;label': its cells are apart"),
        (
            "m.csv",
            b"image\tlabel\na.png\tx\n",
            r"apart by '\\t' and not .* Let its name end in .tsv",
        ),
        (
            "m.csv",
            "image\na.png".encode("utf-16"),
            "can't be read: is UTF-16. Save it as CSV UTF-8",
        ),
        ("m.csv", b"PK\x03\x04rest", "can't be read: is a spreadsheet or zip, whatever its name"),
        ("m.parquet", b"nothing of the kind", "can't be read: "),
        ("m.csv", b"", "can't be read: Empty CSV file"),
        ("m.csv", b"image,label\na.png,x\nb.png\n", "can't be read: CSV parse error"),
        ("m.csv", "image\nGrüße.png\n".encode("latin-1"), r"can't be read: .*(UTF8|utf-8)"),
        ("m.csv", b"image,image\na.png,b.png\n", "column image is there twice"),
        ("m.jsonl", b'{"image": "a.png"', "can't be read: "),
    ],
)
def test_a_file_that_is_no_table_is_named(
    read: Callable[[Path], Any], name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=said) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is neither a folder nor a regular file"):
        read_manifest(tmp_path)
