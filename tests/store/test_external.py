"""Tables of other tools: read as they are, wherever they lie, or refused in a line by name."""

from __future__ import annotations

import io
import json
import os
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import StoreError
from mmembed.paths import place
from mmembed.store.external import ENDINGS, read_table

ROWS = [{"path": "a.png", "code": "007"}, {"path": "b, c.png", "code": "x"}]
WRITTEN = {
    ".csv": b'path,code\na.png,007\n"b, c.png",x\n',
    ".tsv": b"path\tcode\na.png\t007\nb, c.png\tx\n",
    ".jsonl": b'{"path": "a.png", "code": "007"}\n{"path": "b, c.png", "code": "x"}\n',
    ".ndjson": b'{"path": "a.png", "code": "007"}\n{"path": "b, c.png", "code": "x"}\n',
}


def parquet(rows: list[dict[str, object]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("ending", [*WRITTEN, ".parquet", ".PARQUET", ".Csv"])
def test_the_same_rows_come_out_of_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{ending}"
    path.write_bytes(WRITTEN.get(ending.lower()) or parquet(ROWS))
    assert read_table(path).to_pylist() == ROWS
    assert read_table(str(path)).to_pylist() == ROWS


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_at_a_url_is_read_as_one_on_disk(ending: str, tmp_path: Path) -> None:
    content = {".parquet": parquet(ROWS), ".npy": array(np.eye(3)), **WRITTEN}[ending]
    (tmp_path / f"table{ending}").write_bytes(content)
    where = place(f"memory://{uuid.uuid4().hex}/table{ending}")
    where.filesystem.create_dir(where.parent.inside, recursive=True)
    with where.filesystem.open_output_stream(where.inside) as stream:
        stream.write(content)
    assert read_table(where).equals(read_table(tmp_path / f"table{ending}"))


@given(st.lists(st.from_regex(r"[0-9]{1,20}|[0-9]\.[0-9]0", fullmatch=True), min_size=1))
def test_columns_of_text_stay_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, codes: list[str]
) -> None:
    path = tmp_path_factory.mktemp("text") / "table.csv"
    path.write_text("code,count\n" + "".join(f"{code},{i}\n" for i, code in enumerate(codes)))
    table = read_table(path, texts=("code", "not there"))
    assert table["code"].to_pylist() == codes
    assert table["count"].to_pylist() == list(range(len(codes)))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_all_columns_stay_as_they_were_written_if_that_is_asked_for(
    ending: str, tmp_path: Path
) -> None:
    row = {"zip": "00123", "version": "1.10", "day": "2020-01-02", "on": "TRUE", "none": "NA"}
    mark = "\t" if ending == ".tsv" else ","
    path = tmp_path / f"table{ending}"
    path.write_text(
        json.dumps(row) + "\n"
        if ending == ".jsonl"
        else "\ufeff" + mark.join(f'"{name}"' for name in row) + f"\n{mark.join(row.values())}\n",
        "utf-8",
    )
    assert read_table(path, texts=None).to_pylist() == [row]


@pytest.mark.parametrize("size", [10, 3_000_000, 40_000_000])
def test_cells_of_any_size_and_over_several_lines(size: int, tmp_path: Path) -> None:
    cell = "line\n" * (size // 5)
    path = tmp_path / "table.csv"
    path.write_text(f'name,text\na,"{cell}"\nb,c\n')
    for texts in (None, ()):
        assert read_table(path, texts)["text"].to_pylist() == [cell, "c"]


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_vectors_is_a_column_of_lists(kind: str, order: str, tmp_path: Path) -> None:
    vectors = np.asarray(np.random.default_rng(0).normal(size=(5, 3)).astype(kind), order=order)
    (tmp_path / "vectors.npy").write_bytes(array(vectors))
    table = read_table(tmp_path / "vectors.npy")
    assert table.column_names == ["embedding"]
    assert pa.types.is_fixed_size_list(table.schema.field(0).type)
    assert np.array_equal(np.array(table["embedding"].to_pylist()), vectors.astype("f8"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "no such file"),
        ("table.docx", b"PK", "a table ends in .parquet, .csv, .tsv, .jsonl, .ndjson, .npy"),
        ("table.xlsx", b"PK", "is a spreadsheet. Save it as CSV UTF-8 there, or by pandas.read_ex"),
        ("table", b"a,b", "a table ends in"),
        ("empty.csv", b"", "can't be read: Empty CSV file"),
        ("ragged.csv", b"a,b\n1,2,3\n", "can't be read: .*Expected 2 columns, got 3"),
        ("bytes.csv", b"a,b\n\xff,\xfe\n", ""),
        ("text.parquet", b"a,b\n1,2\n", "can't be read: .*Parquet"),
        ("cut.parquet", parquet(ROWS)[:-20], "can't be read: "),
        ("torn.jsonl", b'{"a": 1}\n{"a": ', "can't be read: JSON parse error"),
        ("mixed.jsonl", b'{"a": 1}\n{"a": "x"}\n', "can't be read: JSON parse error"),
        ("nul.jsonl", b"\0", "can't be read: "),
        ("flat.npy", array(np.zeros(4)), r"holds no array \(rows, dim\) but \(4,\)"),
        ("deep.npy", array(np.zeros((2, 3, 4))), r"holds no array \(rows, dim\) but \(2, 3, 4\)"),
        ("whole.npy", array(np.zeros((2, 3), int)), "holds int64, no floats"),
        ("complex.npy", array(np.zeros((2, 3), complex)), "holds complex128, no floats"),
        ("cut.npy", array(np.zeros((2, 3)))[:-8], "can't be read: "),
        ("text.npy", b"1,2\n", "can't be read: "),
    ],
)
def test_a_file_that_is_none_is_named_in_one_line(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    if not said:
        assert len(read_table(path)) == 1
        return
    with pytest.raises(StoreError, match=said) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "made"

    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    values = np.empty((1, 1), object)
    values[0, 0] = Bomb()
    np.save(tmp_path / "bomb.npy", values, allow_pickle=True)
    with pytest.raises(StoreError, match="bomb.npy: can't be read: .*allow_pickle"):
        read_table(tmp_path / "bomb.npy")
    assert not marker.exists()


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(StoreError, match="table.csv: can't be read: Is a directory"):
        read_table(tmp_path / "table.csv")


def test_columns_of_one_name_stay_two(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,a\n1,2\n")
    assert read_table(tmp_path / "table.csv").column_names == ["a", "a"]
