"""Word vectors of GloVe and word2vec are read as text, and a bad line is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmembed.encoders import word_vectors
from mmembed.encoders.word_vectors import VectorFile
from mmembed.errors import ConfigError

GLOVE = "the 1 2.5 -3\nof 4e-1 5 6\n. . 7 8 9\nдва 0 0 1\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "vectors.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("first", ["", "4 3\n"])
def test_both_forms_are_read(tmp_path: Path, first: str) -> None:
    file = VectorFile.open(written(tmp_path, first + GLOVE))
    assert (file.dim, file.words) == (3, 4 if first else None)
    vectors = file.read(["the", "of", "два", "missing", ". ."])
    assert {word: vector.tolist() for word, vector in vectors.items()} == {
        "the": [1.0, 2.5, -3.0],
        "of": [np.float32(0.4), 5.0, 6.0],
        ". .": [7.0, 8.0, 9.0],
        "два": [0.0, 0.0, 1.0],
    }
    assert all(vector.dtype == np.float32 for vector in vectors.values())


def test_spaces_at_ends_blank_lines_and_windows_lines_are_nothing(tmp_path: Path) -> None:
    text = "2 2 \r\nthe 1 2 \r\n\r\nof 3 4\r\n\n"
    vectors = VectorFile.open(written(tmp_path, text)).read(["the", "of"])
    assert [vectors[word].tolist() for word in ("the", "of")] == [[1, 2], [3, 4]]


def test_the_first_of_a_word_counts(tmp_path: Path) -> None:
    file = VectorFile.open(written(tmp_path, "a 1 2\na 3 4\n"))
    assert file.read(["a"])["a"].tolist() == [1, 2]


def test_words_that_are_no_unicode_disturb_nobody(tmp_path: Path) -> None:
    file = VectorFile.open(written(tmp_path, b"\xff\xfe 1 2\na 3 4\n"))
    assert file.read(["a", "\ud800"])["a"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: '' is no word and its vector"),
        ("word\n", "line 1: 'word' is no word and its vector, as GloVe and word2vec"),
        ("10 0\n", "line 1: '10 0' is no word"),
        ("1 99999\na 1\n", "line 1: '1 99999' is no word"),
        ("the 1 2\nof 1\n", "line 2: has 1 numbers, not 2"),
        ("2 2\nthe 1 2\nof\n", "line 3: has 0 numbers, not 2"),
        ("x 1 2\nthe 1 two\n", "line 2: holds something else than numbers"),
        ("x 1 2\nthe nan 2\n", "line 2: holds NaN, or a number beyond 10,000"),
        ("x 1 2\nthe 1 -inf\n", "line 2: holds NaN, or a number beyond 10,000"),
        ("x 1 2\nthe 1 1e30\n", "line 2: holds NaN, or a number beyond 10,000"),
        ("3 2\nthe 1 2\nof 3 4\n", "has 2 words, and 3 by its first line. Fetch it again"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        VectorFile.open(path).read(["the", "of"])
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(ConfigError, match=f"{path}: can't be read: "):
            VectorFile.open(path)


def test_a_line_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_vectors, "LONGEST_LINE_BYTES", 20)
    file = VectorFile.open(written(tmp_path, "the 1 2\n" + "x" * 30))
    with pytest.raises(ConfigError, match="line 2: is too long for a vector"):
        file.read(["the"])
