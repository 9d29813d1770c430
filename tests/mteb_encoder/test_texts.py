"""Texts of mteb's tasks: taken as they stand, with the space's prompts, by the field of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from mmembed.encoders.base import Encoder
from mmembed.errors import ConfigError, MediaError
from mmembed.mteb_encoder import MtebEncoder
from mmembed.preprocess.base import Preprocess
from mmembed.space.space import Space
from tests.conftest import tiny_encoders
from tests.mteb_encoder.conftest import described, encoded, loader

mteb = pytest.importorskip("mteb")
datasets = pytest.importorskip("datasets")
abstasks = pytest.importorskip("mteb.abstasks")

DIM = 16
PROMPTS = (("query", "query: "), ("document", "passage: "))
ANIMALS = ["a dog barks", "the dogs", "a cat", "cats purr", "one cat, two cats", "barking dog"]


@dataclass(frozen=True)
class Letters(Preprocess):
    """A text as it is."""

    modality: ClassVar[str] = "text"
    prompts: tuple[tuple[str, str], ...] = ()

    def load(self, source: Any, span: Any = None, *, allow_truncated: bool = False) -> Any:
        return source

    def __call__(self, media: Any) -> np.ndarray:
        return np.zeros(1)


class LetterEncoder(Encoder):
    """An encoder of texts that is never asked."""

    def __init__(self, preprocess: Letters) -> None:
        super().__init__()
        self.width, self.preprocess = DIM, preprocess
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, values: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return values


class SpaceOfLetters(Space):
    """A space whose vector of a text counts its letters, and that keeps what it was asked."""

    fingerprint = "ab" * 16

    def __init__(self, *fields: str, prompts: tuple[tuple[str, str], ...] = ()) -> None:
        encoders = {field: LetterEncoder(Letters(prompts=prompts)) for field in fields}
        super().__init__({**encoders, "image": tiny_encoders()["image"]}, DIM, name="letters")
        self.asked: list[tuple[str, str]] = []

    def encode_iter(
        self, inputs: Iterable[Any], field: str | None = None, **options: Any
    ) -> Iterator[np.ndarray]:
        prompt = options.get("prompt")
        for text in inputs:
            if text == "broken":
                raise MediaError("text", "decode", "has no token")
            said = dict(PROMPTS)[prompt] + text if prompt else text
            self.asked.append((str(field), said))
            yield letters(said)


def letters(text: str) -> np.ndarray:
    counts = np.bincount([ord(c) % DIM for c in text], minlength=DIM).astype(np.float32)
    unit: np.ndarray = counts / np.linalg.norm(counts)
    return unit


def test_texts_are_handed_on_as_they_stand_in_any_batches() -> None:
    texts = [*ANIMALS, "sounds/dog.wav", "/etc/hosts", "s3://bucket/key"]
    for size in (1, 4, 50):
        space = SpaceOfLetters("text")
        vectors = encoded(MtebEncoder(space), loader([{"text": text} for text in texts], size))
        assert space.asked == [("text", text) for text in texts]
        assert np.abs(vectors - np.stack([letters(text) for text in texts])).max() <= 1e-6


@pytest.mark.parametrize("kind", ["query", "document"])
def test_queries_and_documents_get_the_prompt_of_their_name(kind: str) -> None:
    prompt_type = mteb.types.PromptType[kind]
    space = SpaceOfLetters("text", prompts=PROMPTS)
    encoded(MtebEncoder(space), [{"text": ["a"]}], prompt_type=prompt_type)
    encoded(MtebEncoder(space), [{"text": ["a"]}], prompt_type=None)
    assert space.asked == [("text", dict(PROMPTS)[kind] + "a"), ("text", "a")]


def test_a_space_without_that_prompt_encodes_both_alike() -> None:
    space = SpaceOfLetters("text", prompts=PROMPTS[:1])
    for kind in ("query", "document"):
        encoded(MtebEncoder(space), [{"text": ["a"]}], prompt_type=mteb.types.PromptType[kind])
    assert [said for _, said in space.asked] == ["query: a", "a"]
    assert MtebEncoder(space).mteb_model_meta.use_instructions
    assert not MtebEncoder(SpaceOfLetters("text")).mteb_model_meta.use_instructions


def test_the_only_field_of_texts_takes_them_whatever_it_is_called() -> None:
    space = SpaceOfLetters("caption")
    model = MtebEncoder(space)
    encoded(model, [{"text": ["a"], "id": ["1"]}])
    assert space.asked == [("caption", "a")]
    assert sorted(model.mteb_model_meta.modalities) == ["image", "text"]


def test_of_several_fields_of_texts_that_called_text_takes_them() -> None:
    space = SpaceOfLetters("title", "text")
    encoded(MtebEncoder(space), [{"text": ["a"]}])
    assert space.asked == [("text", "a")]
    with pytest.raises(
        ConfigError,
        match="mteb task Local: space letters takes text in the fields body, title, and mteb can't",
    ):
        encoded(MtebEncoder(SpaceOfLetters("body", "title")), [{"text": ["a"]}])


def test_a_text_that_fails_is_named_by_its_row_and_not_repeated() -> None:
    model = MtebEncoder(SpaceOfLetters("text"))
    with pytest.raises(MediaError, match="^text of row 2: has no token$"):
        encoded(model, [{"text": ["a", "b"]}, {"text": ["broken", "c"]}])
    with pytest.raises(ConfigError, match="text of row 1: a value of type int is no text"):
        encoded(model, [{"text": ["a", 7]}])


def test_mteb_classifies_texts() -> None:
    class Local(abstasks.AbsTaskClassification):
        metadata = described("Classification", "t2c", "accuracy")
        samples_per_label = 3
        n_experiments = 1

    task, labels = Local(), [0, 0, 1, 1, 1, 0]
    part = datasets.Dataset.from_dict({"text": ANIMALS, "label": labels})
    task.dataset, task.data_loaded = datasets.DatasetDict(train=part, test=part), True
    space = SpaceOfLetters("text", prompts=PROMPTS)
    results = mteb.evaluate(MtebEncoder(space), task, cache=None)
    assert results.task_results[0].get_score() == 1.0
    assert {said for _, said in space.asked} == set(ANIMALS)


def test_mteb_retrieves_texts_with_prompts_as_our_own_cosines_do() -> None:
    class Local(abstasks.AbsTaskRetrieval):
        metadata = described("Retrieval", "t2t", "ndcg_at_10")

    queries, corpus = ["dog", "cat"], ANIMALS
    task = Local()
    split = {
        "queries": datasets.Dataset.from_dict({"id": ["q0", "q1"], "text": queries}),
        "corpus": datasets.Dataset.from_dict(
            {"id": list("abcdef"), "title": [""] * 6, "text": corpus}
        ),
        "relevant_docs": {"q0": {"a": 1, "b": 1, "f": 1}, "q1": {"c": 1, "d": 1, "e": 1}},
        "top_ranked": None,
    }
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    space = SpaceOfLetters("text", prompts=PROMPTS)
    results = mteb.evaluate(MtebEncoder(space), task, cache=None)
    asked = np.stack([letters(f"query: {text}") for text in queries])
    scores = asked @ np.stack([letters(f"passage: {text}") for text in corpus]).T
    relevant = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 1, 0]])
    discount = 1 / np.log2(np.arange(6) + 2)
    gains = np.take_along_axis(relevant, np.argsort(-scores, axis=1), 1) @ discount
    expected = float((gains / discount[:3].sum()).mean())
    assert 0.0 < expected < 1.0
    assert results.task_results[0].get_score() == pytest.approx(round(expected, 5), abs=1e-6)


def test_the_name_of_a_prompt_may_come_as_text() -> None:
    space = SpaceOfLetters("text", prompts=PROMPTS)
    task = SimpleNamespace(name="Local")
    options = {"task_metadata": task, "hf_split": "test", "hf_subset": "x"}
    MtebEncoder(space).encode([{"text": ["a"]}], prompt_type="query", **options)
    assert space.asked == [("text", "query: a")]
