"""A chunk's rows: those of its files that have vectors, each with its own piece and vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.decoding.messages import DecodeFailure
from mmembed.embedding.engines.chunk import Chunk, FileRows, Segment
from mmembed.embedding.plan.listing import FolderListing
from mmembed.media.file import MediaInfo
from mmembed.media.source_file import File
from mmembed.media.spans import Span
from mmembed.store.provenance import Provenance
from mmembed.store.rows import row_id
from mmembed.store.schema import row_schema

SCHEMA = row_schema(Provenance("f" * 32, "tiny", 2, settings={"allow_truncated": True}), {})
LISTING = FolderListing(Path("media"), Path("out"))
PLACES = st.lists(st.integers(0, 5), unique=True, max_size=4)  # in the order their vectors came


@settings(deadline=None)
@given(st.lists(st.none() | st.tuples(st.booleans(), st.booleans(), PLACES), max_size=12))
def test_each_vector_is_a_row_with_what_its_file_and_piece_say(results: list) -> None:
    files = [File(f"{i % 5}/{i:02}", "", size=i, mtime_ns=-i) for i in range(len(results))]
    chunk = Chunk(files, LISTING.carried([None] * len(files)))
    expected = []
    for number, result in enumerate(results):
        if result is None:
            chunk.results[number] = DecodeFailure("decode", "MediaError", "no")
            continue
        whole, truncated, places = result
        info = MediaInfo("video", "mp4", width=64, duration_seconds=number / 3)
        rows = FileRows(truncated=truncated, info=info if number % 2 else None)
        for place in [0] if whole else places:
            span = None if whole else Span(place, place / 2, place / 2 + 1)
            modality = "image" if whole else "audio"
            rows.segments[place] = Segment(modality, span)
            rows.vectors[place] = np.array([number, place], np.float32)
            path, index = chunk.files[number].path, None if whole else place
            expected.append(
                {
                    "id": row_id(path, modality, index),
                    "path": path,
                    "modality": modality,
                    "field": modality,
                    "segment_index": index,
                    "start_s": None if whole else place / 2,
                    "end_s": None if whole else place / 2 + 1,
                    "region": None,
                    "box": None,
                    "size": number,
                    "mtime_ns": -number,
                    "width": 64 if number % 2 else None,
                    "height": None,
                    "duration_s": number / 3 if number % 2 else None,
                    "sample_rate": None,
                    "frame_rate": None,
                    "truncated": truncated,
                    "embedding": [number, place],
                }
            )
        chunk.results[number] = rows
    table = chunk.rows(SCHEMA, 2)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    ordered = sorted(expected, key=lambda row: (row["path"], row["segment_index"] or 0))
    assert table.to_pylist() == ordered
    assert len(chunk.errors()) == results.count(None)


def test_a_vector_of_another_length_moves_no_other() -> None:
    """It is refused: joined end to end, later rows would get the numbers of earlier ones."""
    files = [File(f"{i}.png", "", size=i, mtime_ns=i) for i in range(3)]
    for lengths, words in (((2, 1, 3), "must have the same shape"), ((3, 3, 3), "of 2 numbers")):
        chunk = Chunk(files, LISTING.carried([None] * 3))
        for number, length in enumerate(lengths):
            vectors = {0: np.ones(length, np.float32)}
            chunk.results[number] = FileRows({0: Segment("image")}, vectors)
        with pytest.raises(ValueError, match=words):
            chunk.rows(SCHEMA, 2)
