"""Relevance by keys, by moments that overlap, and by judgements from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.errors import ConfigError
from mmembed.evaluation.items import read_items
from mmembed.evaluation.qrels import read_qrels
from mmembed.evaluation.retrieval.relevance import SameKey, Spans
from mmembed.store.label_codes import LabelCodes
from mmembed.store.table import EmbeddingTable

Make = Callable[..., EmbeddingTable]


@given(st.lists(st.integers(-1, 3), max_size=12), st.lists(st.integers(-1, 3), max_size=12))
def test_the_same_key_is_relevant_and_an_unknown_one_to_nothing(
    queries: list[int], targets: list[int]
) -> None:
    judge = SameKey(np.array(queries, int), np.array(targets, int))
    lengths = [0]
    for i, key in enumerate(queries):
        relevant, grades = judge.of(i)
        expected = [j for j, other in enumerate(targets) if key == other and key >= 0]
        assert relevant.tolist() == expected
        assert grades.tolist() == [1.0] * len(expected)
        lengths.append(len(relevant))
    assert judge.most == max(lengths)


several = st.lists(st.lists(st.sampled_from("abc"), unique=True, max_size=3), max_size=8)


@given(several, several)
def test_what_shares_one_of_several_keys_is_relevant_once(
    queries: list[list[str]], targets: list[list[str]]
) -> None:
    codes = {"a": 4, "b": 0, "c": 9}
    judge = SameKey(LabelCodes.of(queries, codes), LabelCodes.of(targets, codes))
    lengths = [0]
    for i, keys in enumerate(queries):
        relevant, grades = judge.of(i)
        assert relevant.tolist() == [j for j, other in enumerate(targets) if {*keys} & {*other}]
        assert grades.tolist() == [1.0] * len(relevant)
        lengths.append(len(relevant))
    assert judge.known.tolist() == [bool(keys) for keys in queries]
    assert max(lengths) <= judge.most <= len(targets)


def test_moments_are_the_same_from_half_of_their_union() -> None:
    spans = Spans(np.array([0.0, 5, 10, np.nan]), np.array([10.0, 15, 20, np.nan]))
    everything = np.arange(4)
    assert spans.overlaps(0, 10, everything).tolist() == [True, False, False, True]
    assert spans.overlaps(5, 10, everything).tolist() == [True, True, False, True]  # 5 of 10
    assert spans.overlaps(5.1, 10, everything).tolist() == [False, False, False, True]
    assert spans.overlaps(np.nan, np.nan, everything).all()
    judge = SameKey(np.zeros(4, int), np.zeros(4, int), (spans, spans))
    assert [judge.of(i)[0].tolist() for i in range(4)] == [[0, 3], [1, 3], [2, 3], [0, 1, 2, 3]]


def items_of(make_table: Make, pool: str = "mean"):
    rows = [{"path": f"{i}.png", "modality": "image"} for i in range(3)]
    rows += [
        {"path": "a b.wav", "modality": "audio", "segment_index": k, "start_s": 5.0 * k,
         "end_s": 5.0 * k + 5.0}
        for k in range(3)
    ]  # fmt: skip
    rows += [{"path": "c.wav", "modality": "audio", "segment_index": 0}]
    return read_items(make_table(rows, np.eye(7)), pool)  # type: ignore[arg-type]


FORMS: dict[str, Callable[[Path], object]] = {
    "judged.csv": lambda p: p.write_text(
        "query,target,grade\n0.png,a b.wav,2\n1.png,c.wav,0\n2.png,gone.wav,1\n2.png,c.wav,1\n"
    ),
    "judged.tsv": lambda p: p.write_text(
        "query-id\tcorpus-id\tscore\n0.png\ta b.wav\t2\n2.png\tgone.wav\t1\n2.png\tc.wav\t1\n"
    ),
    "judged.parquet": lambda p: pq.write_table(
        pa.table(
            {
                "query": ["0.png", "2.png", "2.png"],
                "target": ["a b.wav", "gone.wav", "c.wav"],
                "relevance": [2, 1, 1],
            }
        ),
        p,
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_judgements_of_every_form_are_the_same(make_table: Make, tmp_path: Path, name: str) -> None:
    FORMS[name](tmp_path / name)
    items = items_of(make_table)
    qrels = read_qrels(tmp_path / name)
    images = items.select(items.field == "image")
    sounds = items.select(items.field == "audio")
    judge = qrels.between(images, sounds)
    relevant = [(i, *judge.of(i)) for i in range(3)]
    assert [(i, t.tolist(), g.tolist()) for i, t, g in relevant] == [
        (0, [0], [2.0]),
        (1, [], []),
        (2, [1], [1.0]),
    ]
    assert judge.most == 1
    assert qrels.unknown(items) == ([], ["gone.wav"])
    assert qrels.between(sounds, images).most == 0


def test_trec_text_is_read(make_table: Make, tmp_path: Path) -> None:
    (tmp_path / "judged.qrels").write_text("0.png 0 c.wav 3\n\n1.png\tQ0\tc.wav\t1\nx Q0 1.png 0\n")
    items = items_of(make_table)
    judge = read_qrels(tmp_path / "judged.qrels").between(
        items.select(items.field == "image"), items.select(items.field == "audio")
    )
    assert [judge.of(i)[1].tolist() for i in range(3)] == [[3.0], [1.0], []]


def test_a_judged_moment_is_answered_by_segments_that_overlap_it(
    make_table: Make, tmp_path: Path
) -> None:
    (tmp_path / "j.csv").write_text(
        "query,target,start_s,end_s\n"
        "0.png,a b.wav,5.5,10\n1.png,a b.wav,,\n2.png,a b.wav,7.5,12.5\n"
    )
    items = items_of(make_table, "moments")
    judge = read_qrels(tmp_path / "j.csv").between(
        items.select(items.field == "image"), items.select(items.field == "audio")
    )
    assert [judge.of(i)[0].tolist() for i in range(3)] == [[1], [0, 1, 2], []]


MISTAKES = [
    ("gone.csv", None, "no such file"),
    ("a.csv", "query,other\na,b\n", "no column target; it has query, other"),
    ("b.csv", "doc,target\na,b\n", "no column query; it has doc, target"),
    ("c.csv", "query,target,grade\na,b,high\n", "column grade is not double"),
    ("d.csv", "query,target,grade\na,b,\n", "1 judgements lack a query, target or grade"),
    ("e.csv", "query,target,grade\na,b,0\n", "nothing in it is relevant (no grade above 0)"),
    ("f.txt", "a 0 b 1\na 0 my file.wav 1\n", "line 2 has 5 words, not the 4 of TREC"),
    ("g.parquet", "nonsense", "can't be read: "),
    ("h.csv", "query,target,target\na,b,c\n", "has two columns target"),
    ("i.csv", "query,target,grade\na,b,inf\n", "1 judgements lack a query, target or grade"),
    ("j.txt", "a 0 \ud800 1\n", "can't be read: "),
]


@pytest.mark.parametrize(("name", "text", "said"), MISTAKES)
def test_wrong_judgements_are_said_in_one_line(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, "utf-8", "surrogatepass")
    with pytest.raises(ConfigError) as error:
        read_qrels(tmp_path / name)
    assert str(error.value).startswith(f"qrels={tmp_path / name}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
