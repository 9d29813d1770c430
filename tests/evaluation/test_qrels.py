"""Judgements in the files that people have: line ends, marks, blanks and zeros change no id."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmembed.errors import ConfigError
from mmembed.evaluation.qrels import Qrels, read_qrels

PAIRS = [("007", "0010.wav", 2.0), ("q 2", "b.wav", 1.0)]
TREC = [("007", "0010.wav", 2.0), ("q2", "b.wav", 1.0)]


def pairs(qrels: Qrels) -> list[tuple[str, str, float]]:
    columns = (qrels.query.tolist(), qrels.target.tolist(), qrels.grade.tolist())
    return list(zip(*columns, strict=True))


def with_marks(text: str) -> dict[str, bytes]:
    plain = text.encode()
    windows = plain.replace(b"\n", b"\r\n")
    return {
        "plain": plain,
        "windows": windows,
        "mark": codecs.BOM_UTF8 + plain,
        "both": codecs.BOM_UTF8 + windows,
        "no last end": plain.rstrip(b"\n"),
        "blank lines": plain + b"\n\n",
    }


@pytest.mark.parametrize("form", with_marks(""))
def test_trec_is_read_whatever_its_blanks_and_line_ends(form: str, tmp_path: Path) -> None:
    text = "007 0 0010.wav 2\n \tq2\tQ0  b.wav \t 1 \n"
    (tmp_path / "judged.txt").write_bytes(with_marks(text)[form])
    assert pairs(read_qrels(tmp_path / "judged.txt")) == TREC


@pytest.mark.parametrize("form", ["plain", "windows", "mark", "both", "no last end"])
@pytest.mark.parametrize("name", ["judged.csv", "judged.CSV", "judged.tsv"])
def test_tables_are_read_whatever_their_line_ends(name: str, form: str, tmp_path: Path) -> None:
    text = "query,target,grade\n007,0010.wav,2\nq 2,b.wav, 1 \n"
    text = text.replace(",", "\t") if name.endswith("tsv") else text
    (tmp_path / name).write_bytes(with_marks(text)[form])
    assert pairs(read_qrels(tmp_path / name)) == PAIRS


def test_lines_of_json_and_parquet_are_read_alike(tmp_path: Path) -> None:
    rows = [{"query-id": q, "corpus-id": t, "score": int(g)} for q, t, g in PAIRS]
    (tmp_path / "judged.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "judged.parquet")
    for name in ("judged.jsonl", "judged.parquet"):
        assert pairs(read_qrels(tmp_path / name)) == PAIRS


def test_ids_of_trec_hold_whatever_is_no_blank_tab_or_line_end(tmp_path: Path) -> None:
    odd = ["a\u00a0b.wav", "c\u2028d.wav", "e\x0cf.wav", "g\u3000h.wav", "i\x85j.wav"]
    lines = "".join(f"q{i} 0 {name} 1\n" for i, name in enumerate(odd))
    (tmp_path / "judged.txt").write_text(lines, "utf-8", newline="")
    assert read_qrels(tmp_path / "judged.txt").target.tolist() == odd


def test_blanks_count_in_ids_of_a_table_and_not_in_its_header(tmp_path: Path) -> None:
    (tmp_path / "judged.csv").write_text('query , target\n" a.png",b.wav \n')
    qrels = read_qrels(tmp_path / "judged.csv")
    assert pairs(qrels) == [(" a.png", "b.wav ", 1.0)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.csv",
            "query,target\n,b.wav\na.png,\nc.png,d.wav\n",
            "2 judgements lack a query, target",
        ),
        ("b.csv", "query,target,grade\na,b, high\n", "column grade is not double"),
        ("c.xlsx", "PK", "is a spreadsheet. Save it as CSV UTF-8 there"),
        ("d.json", "{}", "is JSON. If it has an object a line, let its name end in .jsonl"),
        ("e.jsonl", '["a"]', "can't be read: line 1 is no object"),
    ],
)
def test_what_is_no_judgement_is_said(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_qrels(tmp_path / name)
    assert str(caught.value).startswith(f"qrels={tmp_path / name}: {said}")


def test_the_same_judgements_come_out_of_every_form(tmp_path: Path) -> None:
    forms: dict[str, Callable[[Path], object]] = {
        "a.txt": lambda p: p.write_text("007 0 0010.wav 2\nq2 0 b.wav 1\n"),
        "b.csv": lambda p: p.write_text("qid,docid,rel\n007,0010.wav,2\nq2,b.wav,1\n"),
    }
    for name, write in forms.items():
        write(tmp_path / name)
        assert pairs(read_qrels(tmp_path / name)) == TREC
