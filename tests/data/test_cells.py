"""Cells that hold texts or ids become items of batches, with no file and no probing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from mmembed.data.manifest import read_samples
from mmembed.data.samples import MediaDataset, probe_files
from mmembed.media.file import MediaFile
from mmembed.preprocess.audio import AudioPreprocess
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.vocabulary import Vocabulary
from tests.data.word_list import WordPreprocess

WORDS = WordPreprocess(Vocabulary.of(["a", "b", "c", "d", "e", "f"]))
NO_CODES: dict[str, dict[str, int]] = {"label": {}, "group": {}}


def dataset(
    folder: Path, columns: dict[str, Any], preprocess: dict[str, Preprocess], cache_mb: float = 0
) -> MediaDataset:
    path = folder / "m.parquet"
    pq.write_table(pa.table(columns), path)
    samples = read_samples(path, {field: each.modality for field, each in preprocess.items()})
    return MediaDataset(samples, preprocess, probe_files(samples, preprocess), NO_CODES, cache_mb)


def drawn(data: MediaDataset, sample: int, epochs: int) -> list[tuple[int, ...]]:
    epoch = torch.zeros((), dtype=torch.long)
    data.draw = (0, epoch)
    values = []
    for number in range(epochs):
        epoch.fill_(number)
        values.append(tuple(data[sample].values["text"][0].tolist()))
    return values


def test_cells_are_padded_to_the_bucket_of_the_longest_with_their_mask(tmp_path: Path) -> None:
    columns = {"text": ["a b", None, "c d e f a", "x"], "image": ["1.png"] * 4}
    data = dataset(tmp_path, columns, {"text": WORDS})
    batch = data.__getitems__([3, 1, 2, 0])
    assert batch.rows["text"].tolist() == [0, 2, 3]
    assert batch.values["text"].tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [4, 5, 6, 7, 2, 0, 0, 0],
        [2, 3, 0, 0, 0, 0, 0, 0],
    ]
    assert batch.mask["text"].sum(1).tolist() == [1, 5, 2]
    assert batch.values["text"].dtype == torch.int64
    assert data.counts == {"text": 3}


def test_two_fields_of_a_kind_have_a_column_and_a_preprocess_each(tmp_path: Path) -> None:
    few = WordPreprocess(Vocabulary.of(["b"]))
    columns = {"title": ["a", "b"], "body": ["a b", "b b b"]}
    batch = dataset(tmp_path, columns, {"title": WORDS, "body": few}).__getitems__([0, 1])
    assert batch.values["title"][:, 0].tolist() == [2, 3]
    assert batch.values["body"].tolist() == [[1, 2, 0, 0], [2, 2, 2, 0]]


def test_evaluation_takes_the_first_text_and_its_first_segment(tmp_path: Path) -> None:
    parts = WordPreprocess(WORDS.known, segment_words=2)
    data = dataset(tmp_path, {"text": [["a b c d", "e"]]}, {"text": parts})
    assert {tuple(data[0].values["text"][0].tolist()) for _ in range(5)} == {(2, 3, 0, 0)}
    assert data.counts == {"text": 2}


def test_training_draws_texts_and_segments_by_seed_and_epoch(tmp_path: Path) -> None:
    parts = WordPreprocess(WORDS.known, segment_words=1)
    data = dataset(tmp_path, {"text": [["a b", "c d"], ["a b", "c d"]]}, {"text": parts})
    first = drawn(data, 0, 40)
    assert first == drawn(data, 0, 40)
    assert first != drawn(data, 1, 40)
    counts = Counter(values[0] for values in first)
    assert set(counts) == {2, 3, 4, 5}
    assert min(counts.values()) >= 4


def test_a_cell_that_can_not_be_used_costs_itself_and_is_named(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"title": ["a", "broken b", "broken b"]}, {"title": WORDS})
    for _ in range(2):
        batch = data.__getitems__([1, 0, 2])
        assert batch.rows["title"].tolist() == [1]
        (reason,) = batch.failed.values()
        assert reason == f"{tmp_path / 'm.parquet'}: title 'broken b': is broken. Mend it."


def test_equal_cells_are_preprocessed_once_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    whole = MediaFile.of_cell

    def counted(name: str, kind: str, content: str) -> MediaFile:
        made.append(content)
        return whole(name, kind, content)

    monkeypatch.setattr(MediaFile, "of_cell", counted)
    columns = {"text": ["a", "b", "a", "a"]}
    cached = dataset(tmp_path, columns, {"text": WORDS}, cache_mb=1)
    for _ in range(2):
        cached.__getitems__([0, 1, 2, 3])
    assert made == ["a", "b"]
    made.clear()
    small = dataset(tmp_path, columns, {"text": WORDS}, cache_mb=600 / 2**20)
    for _ in range(2):
        small.__getitems__([0, 1])
    assert made == ["a", "b", "b"]


def test_another_preprocess_forgets_the_values_of_the_one_before(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"text": ["b"]}, {"text": WORDS}, cache_mb=1)
    assert data[0].values["text"][0, 0] == 3
    data.adopt({"text": WordPreprocess(Vocabulary.of(["b"]))})
    assert data[0].values["text"][0, 0] == 2


def test_lengths_are_those_of_the_longest_field_and_break_ties_by_the_next(tmp_path: Path) -> None:
    for name, count in (("short.wav", 500), ("long.wav", 2500)):
        soundfile.write(tmp_path / name, np.zeros(count), 1000)
    sound = AudioPreprocess(sample_rate=1000, bucket_seconds=1)
    columns = {
        "audio": ["long.wav", "short.wav", None, "short.wav", "long.wav"],
        "text": [["a"], ["a b c d e"], ["a b c d e f a b c"], None, ["a a a a a", "a"]],
    }
    data = dataset(tmp_path, columns, {"audio": sound, "text": WORDS})
    lengths = data.lengths()
    assert np.floor(lengths).tolist() == [3000, 1000, 0, 1000, 3000]
    assert np.argsort(lengths).tolist() == [2, 3, 1, 0, 4]
    alone = dataset(tmp_path, columns, {"text": WORDS})
    assert alone.lengths().tolist() == [4, 8, 12, 0, 8]


def test_many_cells_take_little_memory_and_equal_ones_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, asked = 100_000, []
    monkeypatch.setattr(
        WordPreprocess, "length", lambda self, info, span: asked.append(info.text) or 1
    )
    texts = [f"a{i % 1000}" for i in range(count)]
    before = pa.total_allocated_bytes()
    data = dataset(tmp_path, {"text": texts}, {"text": WORDS})
    assert pa.total_allocated_bytes() - before < 40 * count
    assert data.lengths().shape == (count,)
    assert len(asked) == 1000
