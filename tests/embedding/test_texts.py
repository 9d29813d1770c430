"""Texts and ids of manifests and folders: each item is a row that stays where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mmembed import Space, embed, load_space
from mmembed.encoders import CategoryEncoder, TextEncoder
from mmembed.encoders.token_bodies import TokenBody
from mmembed.errors import ConfigError, ManifestError
from mmembed.preprocess.category import CategoryPreprocess
from mmembed.preprocess.text import TextPreprocess
from mmembed.store.table import EmbeddingTable, read_errors

TEXTS = ["a red cat", "two blue birds", "der rote Kater", "trois oiseaux bleus"]
LONG = " ".join(f"{word} {i}" for i in range(30) for word in ("cat", "birds", "Kater"))
BODY = TokenBody("transformer", 16, 1, 2, 0.0)


def text_encoder(**arguments: object) -> TextEncoder:
    preprocess = TextPreprocess(vocabulary=60, max_tokens=24, bucket_tokens=8, **arguments)
    return TextEncoder(body=BODY, preprocess=preprocess.fitted([*TEXTS, LONG]))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of texts and tags."""
    torch.manual_seed(0)
    tags = CategoryPreprocess().fitted(['["red", "blue"]', '"u1"'])
    encoders = {
        "text": text_encoder(prompts={"query": "query: "}),
        "tags": CategoryEncoder(width=8, preprocess=tags),
    }
    made = Space(encoders, dim=8, name="words").eval()
    return made.save(tmp_path_factory.mktemp("words"))


def write(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def rows(out: Path) -> dict[str, dict]:
    """The rows of a dataset by id, without their vectors' place."""
    table = EmbeddingTable.open(out)
    listed = table.rows.to_pylist()
    return {
        row["id"]: row | {"vector": vector}
        for row, vector in zip(listed, table.vectors, strict=True)
    }


def test_each_text_and_bag_of_tags_is_a_row_with_its_words(space: Path, tmp_path: Path) -> None:
    tags = [["red"], ["blue", "red"], None, None]
    manifest = write(tmp_path / "m.parquet", id=list("abcd"), text=TEXTS, tags=tags)
    summary = embed(manifest, tmp_path / "out", space=space, workers=0)
    assert (summary.embedded, summary.failed) == (6, 0)
    made = rows(tmp_path / "out").values()
    said = {(r["field"], r["modality"], r["cell"], r["text"], r["sample_id"]) for r in made}
    assert ("text", "text", "id:c#0", "der rote Kater", "c") in said
    assert ("tags", "category", "id:b#0", "blue, red", "b") in said
    assert {r["path"] for r in made} == {"m.parquet"}
    model = load_space(space)
    for row in made:
        if row["field"] == "text":
            assert np.abs(model.encode(row["text"], "text") - row["vector"]).max() <= 1e-6
    bag = next(r for r in made if r["cell"] == "id:b#0" and r["field"] == "tags")
    assert np.abs(model.encode({"blue", "red"}, "tags") - bag["vector"]).max() <= 1e-6


def test_lines_that_move_embed_nothing_and_a_word_that_changes_one_row(
    space: Path, tmp_path: Path
) -> None:
    out, path = tmp_path / "out", tmp_path / "m.parquet"
    embed(write(path, id=list("abcd"), text=TEXTS), out, space=space, workers=0)
    before = rows(out)
    write(path, id=list("dcba"), text=TEXTS[::-1])
    assert embed(path, out, space=space, workers=0).embedded == 0
    write(path, id=list("dcba"), text=[*TEXTS[:0:-1], "a red dog"])
    summary = embed(path, out, space=space, workers=0)
    assert (summary.embedded, summary.removed) == (1, 1)
    after = rows(out)
    assert before.keys() == after.keys()
    changed = [key for key in after if after[key]["text"] != before[key]["text"]]
    assert [after[key]["text"] for key in changed] == ["a red dog"]


def test_texts_without_ids_are_known_by_what_they_say(space: Path, tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "m.parquet"
    embed(write(path, text=["x", "x", "y"]), out, space=space, workers=0)
    assert len(rows(out)) == 3
    summary = embed(write(path, text=["new", "y", "x", "x"]), out, space=space, workers=0)
    assert (summary.embedded, summary.removed) == (1, 0)
    summary = embed(write(path, text=["new", "x"]), out, space=space, workers=0)
    assert (summary.embedded, summary.removed) == (0, 2)


def test_a_long_text_is_embedded_whole(space: Path, tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.parquet", id=["a"], text=[[LONG, "short"]])
    embed(manifest, tmp_path / "out", space=space, workers=0)
    made = sorted(rows(tmp_path / "out").values(), key=lambda r: (r["cell"], r["segment_index"]))
    pieces = [r for r in made if r["cell"] == "id:a#0"]
    assert len(pieces) > 3
    assert [r["segment_index"] for r in pieces] == list(range(len(pieces)))
    assert [LONG[r["start_char"] : r["end_char"]] for r in pieces] == [r["text"] for r in pieces]
    assert " ".join(r["text"] for r in pieces) == LONG
    (short,) = [r for r in made if r["cell"] == "id:a#1"]
    assert (short["text"], short["start_char"]) == ("short", None)


def test_shards_share_the_cells_of_a_manifest(space: Path, tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(40)]
    path = write(tmp_path / "m.parquet", text=texts)
    counts = [
        embed(path, tmp_path / "out", space=space, workers=0, shard=f"{i}/2").embedded
        for i in (1, 2)
    ]
    assert sum(counts) == 40
    assert min(counts) > 5
    assert {r["text"] for r in rows(tmp_path / "out").values()} == set(texts)


def test_text_files_of_a_folder_are_rows_too(space: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.txt").write_text(TEXTS[0])
    (media / "b.txt").write_text("   ")
    embed(media, tmp_path / "out", space=space, workers=0)
    (row,) = rows(tmp_path / "out").values()
    assert (row["path"], row["cell"], row["text"]) == ("a.txt", None, TEXTS[0])
    (error,) = read_errors(tmp_path / "out").to_pylist()
    assert (error["path"], error["modality"]) == ("b.txt", "text")


def test_an_item_that_cannot_be_used_is_an_error_of_its_cell(space: Path, tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.parquet", id=["a", "b"], text=["fine", "\u200b"])
    summary = embed(manifest, tmp_path / "out", space=space, workers=0)
    assert summary.embedded + summary.failed == 2
    for error in read_errors(tmp_path / "out").to_pylist():
        assert (error["field"], error["cell"]) == ("text", "id:b#0")
    assert embed(manifest, tmp_path / "out", space=space, workers=0).embedded == 0


def test_a_prompt_stands_before_each_text_and_is_part_of_the_dataset(
    space: Path, tmp_path: Path
) -> None:
    manifest = write(tmp_path / "m.parquet", id=["a"], text=["red cat"])
    embed(manifest, tmp_path / "out", space=space, workers=0, prompt="query")
    (row,) = rows(tmp_path / "out").values()
    assert row["text"] == "red cat"
    model = load_space(space)
    prompted = model.encode("red cat", "text", prompt="query")
    assert np.abs(prompted - row["vector"]).max() <= 1e-6
    assert np.abs(prompted - model.encode("red cat", "text")).max() > 1e-3
    with pytest.raises(ConfigError, match="no field has such a prompt"):
        embed(manifest, tmp_path / "other", space=space, workers=0, prompt="passage")
    with pytest.raises(ConfigError, match="no field has such a prompt"):
        model.encode("red cat", "text", prompt="passage")


def test_two_fields_of_texts_have_a_column_each_or_are_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    both = Space({"title": text_encoder(), "body": text_encoder()}, dim=8).eval()
    folder = both.save(tmp_path / "space")
    manifest = write(tmp_path / "m.parquet", id=["a"], title=["red"], body=["blue"])
    embed(manifest, tmp_path / "out", space=folder, workers=0)
    assert {r["field"]: r["text"] for r in rows(tmp_path / "out").values()} == {
        "title": "red",
        "body": "blue",
    }
    plain = write(tmp_path / "plain.parquet", id=["a"], text=["red"])
    with pytest.raises(ManifestError, match="text could be for title or body. Name a"):
        embed(plain, tmp_path / "none", space=folder, workers=0)
    embed(plain, tmp_path / "titles", space=folder, workers=0, field="title")
    (row,) = rows(tmp_path / "titles").values()
    assert (row["field"], row["modality"]) == ("title", "text")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.txt").write_text("red")
    with pytest.raises(ConfigError, match="takes text in title, body: name one of them"):
        embed(tmp_path / "media", tmp_path / "none", space=folder, workers=0)
    with pytest.raises(ConfigError, match="the space has title, body"):
        embed(tmp_path / "media", tmp_path / "none", space=folder, workers=0, field="head")


def test_decode_processes_read_texts_as_the_main_one_does(space: Path, tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.parquet", id=list("abcde"), text=[*TEXTS, LONG])
    made = []
    for workers in (0, 2):
        out = tmp_path / f"out{workers}"
        embed(manifest, out, space=space, workers=workers)
        made.append(rows(out))
    assert made[0].keys() == made[1].keys()
    for key, row in made[0].items():
        assert np.abs(row["vector"] - made[1][key]["vector"]).max() <= 1e-6
