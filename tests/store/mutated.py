"""Ways to change a good dataset: what other tools make of it, damage, and ill will.

Each mutation has a name, changes a dataset's folder, and says what ``evaluate`` makes of it: the
same numbers as before (``None``), or a line with these words.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PART = "part-00000.parquet"
Mutation = tuple[str, Callable[[Path], object], str | None]
ALL: list[Mutation] = []


def add(name: str, change: Callable[[Path], object], said: str | None = None) -> None:
    ALL.append((name, change, said))


def table(change: Callable[[pa.Table], pa.Table], **options: Any) -> Callable[[Path], object]:
    """Write the part again with other rows or columns."""

    def apply(folder: Path) -> None:
        part = folder / PART
        options.setdefault("store_schema", True)
        pq.write_table(change(pq.read_table(part)), part, **options)

    return apply


def column(name: str, values: Callable[[pa.ChunkedArray], Any]) -> Callable[[Path], object]:
    """Write the part again with another column in the place of one."""

    def change(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(name)
        made = values(rows[name])
        made = made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
        return rows.set_column(place, pa.field(name, made.type), made)

    return table(change)


def cast(name: str, kind: pa.DataType) -> Callable[[Path], object]:
    return column(name, lambda values: values.cast(kind))


def plain(name: str, kind: pa.DataType) -> Callable[[Path], object]:
    """The same values, made anew: where Arrow does not cast."""
    return column(name, lambda values: pa.array(values.to_pylist(), kind))


def extra(name: str, values: pa.Array) -> Callable[[Path], object]:
    return table(lambda rows: rows.append_column(name, values.take(pa.array([0] * len(rows)))))


def with_null(name: str) -> Callable[[Path], object]:
    return column(name, lambda values: pa.array([None, *values.to_pylist()[1:]], pa.string()))


def invalid(values: pa.ChunkedArray) -> pa.Array:
    spoiled = [b"\xff\xfe", *(str(value).encode() for value in values.to_pylist()[1:])]
    return pa.Array.from_buffers(
        pa.string(), len(spoiled), pa.array(spoiled, pa.binary()).buffers()
    )


def metadata(text: str | bytes | None = None, **fields: Any) -> Callable[[Path], object]:
    """Say something else of what made the dataset; a field of ... is left out."""

    def change(rows: pa.Table) -> pa.Table:
        said = json.loads(rows.schema.metadata[b"mmembed"]) | fields
        whole = (
            json.dumps({k: v for k, v in said.items() if v is not ...}) if text is None else text
        )
        return rows.replace_schema_metadata({"mmembed": whole})

    return table(change)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / PART).write_bytes(change((folder / PART).read_bytes()))


def second(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Add a part of other paths, and change that."""

    def apply(folder: Path) -> None:
        whole = (folder / PART).read_bytes()
        table(lambda rows: rows.slice(0, 3))(folder)
        column("path", lambda paths: pc.binary_join_element_wise("more", paths, "/"))(folder)
        change(folder)
        (folder / PART).rename(folder / "part-1.parquet")
        (folder / PART).write_bytes(whole)

    return apply


def beside(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Put a file into the folder."""

    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


def as_tensor(values: pa.ChunkedArray) -> pa.Array:
    kind = pa.fixed_shape_tensor(pa.float32(), [8])
    return pa.ExtensionArray.from_storage(kind, values.combine_chunks())


def many_missing(rows: pa.Table) -> pa.Table:
    """A few kilobytes that would become hundreds of megabytes."""
    said = json.loads(rows.schema.metadata[b"mmembed"]) | {"dim": 1 << 24}
    none = pa.nulls(len(rows), pa.list_(pa.float32()))
    rows = rows.set_column(rows.schema.get_field_index("embedding"), "embedding", none)
    return rows.replace_schema_metadata({"mmembed": json.dumps(said)})


CODED = pa.dictionary(pa.int32(), pa.string())
for name in ("path", "modality", "id", "label", "group"):
    add(f"{name} as large_string", cast(name, pa.large_string()))
    add(f"{name} as a dictionary", cast(name, CODED))
add(
    "path as a dictionary of large_string",
    plain("path", pa.dictionary(pa.int8(), pa.large_string())),
)
add("path as string_view", cast("path", pa.string_view()))
add("vectors as list<float>", plain("embedding", pa.list_(pa.float32())))
add("vectors as list<double>", plain("embedding", pa.list_(pa.float64())))
add("vectors as large_list<float>", plain("embedding", pa.large_list(pa.float32())))
add("vectors as fixed lists of double", plain("embedding", pa.list_(pa.float64(), 8)))
add("vectors as tensors", column("embedding", as_tensor))
add("vectors in many row groups", table(lambda rows: rows, row_group_size=4))
add("pages of the second version", table(lambda rows: rows, data_page_version="2.0"))
add("snappy and small pages", table(lambda rows: rows, compression="snappy", data_page_size=64))
add("no compression, dictionaries", table(lambda rows: rows, compression="none"))
add("columns in another order", table(lambda rows: rows.select(rows.column_names[::-1])))
add("segment_index as int64", cast("segment_index", pa.int64()))
add("segment_index as double", cast("segment_index", pa.float64()))
add("segment_index as nulls", column("segment_index", lambda v: pa.nulls(len(v))))
add("no segment_index", table(lambda rows: rows.drop_columns(["segment_index"])))
add("no times", table(lambda rows: rows.drop_columns(["start_s", "end_s"])))
add("times as float", cast("start_s", pa.float32()))
add("times as decimal", cast("start_s", pa.decimal128(20, 3)))
add("no sizes", table(lambda rows: rows.drop_columns(["size", "mtime_ns"])))
add("label as nulls", column("split", lambda v: pa.nulls(len(v))))
add("times with a zone", extra("taken", pa.array([10**15], pa.timestamp("us", "Europe/Paris"))))
add("a column of decimals", extra("price", pa.array([None], pa.decimal128(9, 2))))
add("a column of structs", extra("more", pa.array([{"a": [1, 2]}])))
add("a column of ids", extra("uuid", pa.array([b"0" * 16], pa.uuid())))
add("a column of maps", extra("map", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8()))))
add("another part", second(lambda folder: folder), "")
add("a part without rows", second(table(lambda rows: rows.slice(0, 0))))
add("a part with fewer columns", second(table(lambda rows: rows.drop_columns(["split"]))), "")
add("half-written files", beside(".part-9.parquet.partial", "half"))
add("a stranger's file", beside("README.md", "hello"))
add("a card of another kind", beside("_mmembed.json", "[1, 2"))

for given in (0, -1, 8.5, "8", True, None, ..., [8], 10**30):
    add(f"dim {given}", metadata(dim=given), "metadata")
add("dim 16", metadata(dim=16), "column embedding holds vectors of 8 numbers, but its metadata say")
for field in ("space", "fingerprint", "source"):
    for given in (None, 7, ["x"]):
        add(f"{field} {given}", metadata(**{field: given}), f"its mmembed metadata have .* {field}")
add("no fingerprint", metadata(fingerprint=...), "its mmembed metadata have None as fingerprint")
add("settings as a list", metadata(settings=[1]), "its mmembed metadata have .* as settings")
add("metadata that is no JSON", metadata("{"), "its mmembed metadata can't be read")
add("metadata that is nested", metadata("[" * 100_000), "its mmembed metadata can't be read")
add("metadata that is no text", metadata(b"\xff\x00"), "its mmembed metadata can't be read")
add("metadata of text alone", metadata('"text"'), "its mmembed metadata can't be read")
add("a later format", metadata(format=2), "store format 2 is not 1")
add("a format with lines", metadata(format="1\n2"), "store format '1.n2' is not 1")
add("no format", metadata(format=...), "store format None is not 1")
add("no metadata", table(lambda rows: rows.replace_schema_metadata(None)), "not an embedding dat")
for kind, words in (
    (pa.list_(pa.int32()), "list<"),
    (pa.list_(pa.string()), "list<"),
    (pa.list_(pa.list_(pa.float32())), "list<"),
    (pa.string(), "string"),
    (pa.float32(), "float"),
    (pa.struct({"x": pa.float32()}), "struct<"),
    (pa.null(), "null"),
    (pa.dictionary(pa.int8(), pa.string()), "dictionary<"),
):
    add(
        f"vectors as {kind}",
        column("embedding", lambda v, kind=kind: pa.nulls(len(v), kind)),
        f"column embedding holds {words}.*not vectors of floats",
    )
add(
    "vectors of another length",
    column(
        "embedding", lambda v: pa.array([r[:4] for r in v.to_pylist()], pa.list_(pa.float32(), 4))
    ),
    "column embedding holds vectors of 4 numbers, but its metadata say 8",
)
for name in ("id", "path", "modality"):
    add(f"{name} with a null", with_null(name), f"column {name} has no value in 1 rows")
    add(f"{name} as bytes", cast(name, pa.binary()), f"column {name} holds binary, not text")
    add(f"{name} not UTF-8", column(name, invalid), "can't be read .*UTF8")
    add(f"no {name}", table(lambda t, n=name: t.drop_columns([n])), "not an embedding dataset")
    add(
        f"{name} twice",
        table(lambda t, n=name: t.append_column(n, t[n])),
        f"has {name} twice among its columns",
    )
add("path as numbers", column("path", lambda v: pa.array(range(len(v)))), "column path holds int64")
add(
    "path as lists", column("path", lambda v: pa.array([[p] for p in v.to_pylist()])), "column path"
)
add("label not UTF-8", column("label", invalid), "can't be read .*UTF8")
add(
    "segment_index as text", cast("segment_index", pa.string()), "segment_index holds string, not w"
)
add(
    "fractions of segments", column("segment_index", lambda v: pa.array([0.5] * len(v))), "as int32"
)
add("times as text", cast("start_s", pa.string()), "column start_s holds string, not seconds")
add(
    "start_s as a time",
    column("start_s", lambda v: pa.nulls(len(v), pa.time32("s"))),
    "not seconds",
)
add(
    "label as lists",
    column("label", lambda v: pa.array([[x] for x in v.to_pylist()])),
    None,
)
add("label as structs", column("label", lambda v: pa.array([{"x": 1}] * len(v))), "not one value")
add("label as bytes", cast("label", pa.binary()), "column label holds binary, not one value a row")
add("no vectors", table(lambda rows: rows.drop_columns(["embedding"])), "not an embedding dataset")
add("no rows", table(lambda rows: rows.slice(0, 0)), "the dataset has no rows")
add("more vectors than fit", table(many_missing), "is too small for the 21 vectors of 16,777,216")
add(
    "parts with labels of other types",
    second(column("label", lambda v: pa.array([[1.5]] * len(v)))),
    "column label holds list<.*but string in",
)
add(
    "parts of another dim",
    second(
        table(
            lambda rows: many_missing(rows).replace_schema_metadata(
                {"mmembed": json.dumps(json.loads(rows.schema.metadata[b"mmembed"]) | {"dim": 4})}
            )
        )
    ),
    "has vectors of 4, but .* of 8",
)
add(
    "parts of another space",
    second(metadata(space="a\nb", fingerprint="\x1b[1m")),
    "can't be mixed",
)
for end in (0, 3, 4, 100, 2000, -8, -1):
    add(f"cut at {end}", raw(lambda b, end=end: b[:end]), "not a Parquet file|can't be read")
add("no page", raw(lambda b: b[:4] + bytes(1500) + b[1504:]), "can't be read")
add("a huge footer", raw(lambda b: b[:-8] + b"\xff\xff\xff\x7f" + b[-4:]), "not a Parquet file")
add("a negative footer", raw(lambda b: b[:-8] + b"\xff\xff\xff\xff" + b[-4:]), "not a Parquet file")
add("an encrypted footer", raw(lambda b: b[:-4] + b"PARE"), "not a Parquet file")
add("text", raw(lambda b: b"id,path\n1,2\n"), "not a Parquet file")

NOTE = "_compaction.json: not the note of a compaction"
SELF = f"{NOTE} \\(part-00000.parquet would replace itself"
PARTS = {"merged": PART, "replaced": ["part-1.parquet"]}
for name, note in {
    "no JSON": "{",
    "nested": "[" * 100_000,
    "a list": "[]",
    "a number": "7",
    "nothing": "{}",
    "no merged part": json.dumps({"replaced": []}),
    "a merged part of numbers": json.dumps(PARTS | {"merged": 7}),
    "replaced as text": json.dumps(PARTS | {"replaced": PART}),
    "replaced as numbers": json.dumps(PARTS | {"replaced": [1]}),
    "itself": json.dumps(PARTS | {"replaced": [PART]}),
    "a path above": json.dumps(PARTS | {"replaced": ["../x"]}),
    "a surrogate": json.dumps(PARTS | {"replaced": ["part-\ud800.parquet"]}),
    "a zero byte": json.dumps(PARTS | {"replaced": ["part-\0.parquet"]}),
    "a long name": json.dumps(PARTS | {"replaced": [f"part-{'x' * 5000}.parquet"]}),
    "lines": json.dumps(PARTS | {"replaced": ["part-a\nb.parquet"]}),
}.items():
    add(f"a note of {name}", beside("_compaction.json", note), SELF if name == "itself" else NOTE)
add("a note that is no text", beside("_compaction.json", b"\xff"), "_compaction.json: its mmembed")
add("a huge note", beside("_compaction.json", b" " * (17 << 20)), "17,825,792 bytes are too many")
add(
    "a note of a merged part that is not there",
    beside("_compaction.json", json.dumps({"merged": "part-2.parquet", "replaced": [PART]})),
)
add("a note of parts that are gone", beside("_compaction.json", json.dumps(PARTS)))
