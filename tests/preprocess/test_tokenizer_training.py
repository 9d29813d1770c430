"""A tokenizer is learnt alike from the same texts, whatever process does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmembed.errors import ConfigError
from mmembed.preprocess import tokenizer as tokenizer_module
from mmembed.preprocess.tokenizer import Tokenizer
from tests.preprocess.test_tokenizer import MODELS, PHRASES

PROGRAM = """
import sys
from mmembed.preprocess.tokenizer import Tokenizer
texts = [line for line in open(sys.argv[1], encoding="utf-8").read().split(". ") if line.strip()]
for model in ("unigram", "bpe", "word"):
    print(Tokenizer.train(texts, model, 600).digest)
"""


def prose() -> str:
    """The words of this package's own docstrings: a few hundred sentences."""
    folder = Path(tokenizer_module.__file__).parent
    return ". ".join(path.read_text("utf-8") for path in sorted(folder.glob("*.py")))


def test_training_gives_the_same_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "prose.txt").write_text(prose().replace("\n", " "), "utf-8")
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "prose.txt")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(3)
    ]
    assert said[0].count("\n") == 3
    assert len(set(said)) == 1


def test_order_of_texts_makes_no_difference() -> None:
    for model in MODELS:
        assert Tokenizer.train(PHRASES, model, 60) == Tokenizer.train(PHRASES[::-1], model, 60)


@pytest.mark.parametrize("model", MODELS)
def test_vocabulary_is_the_most_there_is(model: str) -> None:
    texts = prose().split("\n")
    for size in (60, 300):
        assert Tokenizer.train(texts, model, size).size <= size


@pytest.mark.parametrize("texts", [[], ["", "  \n"]])
def test_no_text_is_nothing_to_learn_from(texts: list[str]) -> None:
    for model in MODELS:
        with pytest.raises(ConfigError, match="no text to learn a tokenizer from"):
            Tokenizer.train(texts, model)


@pytest.mark.parametrize("vocabulary", [7, (1 << 20) + 1])
def test_vocabulary_has_bounds(vocabulary: int) -> None:
    with pytest.raises(ConfigError, match=f"vocabulary={vocabulary}: must be from 8 to 1,048,576"):
        Tokenizer.train(PHRASES, "bpe", vocabulary)


def test_a_forked_process_may_use_what_was_trained() -> None:
    program = (
        "import os\n"
        "from mmembed.preprocess.tokenizer import Tokenizer\n"
        "made = Tokenizer.train(['one two', 'two three'] * 50, 'bpe', 30)\n"
        "made.encode('one')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if len(made.encode('two three')[0]) else 1)\n"
        "print(os.waitpid(child, 0)[1], os.environ.get('TOKENIZERS_PARALLELISM'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0 None\n", "")


def test_characters_that_have_no_room_are_unknown() -> None:
    """The most frequent half of the vocabulary stays; among equals the first in Unicode."""
    for model in ("unigram", "bpe"):
        tokenizer = Tokenizer.train(["aaabbbccc xyz"], model, 10)
        assert {"a", "b", "c", "x"} <= set(tokenizer.numbers)
        assert tokenizer.encode("z")[0][-1] == 1
