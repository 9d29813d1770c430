"""Texts to features, of any body; tables of tokens that start from word vectors."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmembed.encoders import TextEncoder
from mmembed.encoders.assets import assets_of
from mmembed.encoders.description import build, describe
from mmembed.encoders.size_limit import sketch
from mmembed.encoders.token_bodies import BODIES, TokenBody
from mmembed.errors import ConfigError, SpaceError
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo
from mmembed.preprocess.text import TextPreprocess
from tests.encoders.contract import Example, features, unit

PHRASES = ["the number three", "a picture of a seven", "eine Drei", "trois points"] * 3
FITTED = TextPreprocess(
    vocabulary=60, model="word", max_tokens=24, bucket_tokens=8, prompts={"query": "query: "}
).fitted(PHRASES)


def encoder(kind: str = "transformer", **arguments: Any) -> TextEncoder:
    arguments = {"preprocess": FITTED, **arguments}
    return TextEncoder(TokenBody(kind, 16, layers=2, heads=2), **arguments)


def tokens(rng: np.random.Generator, size: int, made: TextEncoder) -> np.ndarray:
    rows = made.table.num_embeddings
    return rng.integers(1, rows, 1 + size % made.preprocess.max_tokens)


POOLINGS = dict(zip(BODIES, ["mean", "attention", "gru", "mean"], strict=True))
EXAMPLES = {
    **{
        f"text-{kind}": Example(lambda kind=kind, p=pooling: encoder(kind, pooling=p), tokens)
        for kind, pooling in POOLINGS.items()
    },
    "text-unfitted": Example(
        lambda: encoder(embedding_dim=6, preprocess=TextPreprocess(vocabulary=50)), tokens
    ),
}


def embedded(made: TextEncoder, text: str) -> torch.Tensor:
    """Features ``(segments, width)`` of a text, as embedding makes them."""
    preprocess = made.preprocess
    spans = preprocess.spans(MediaInfo("text", "cell", text=text))
    values = [
        preprocess(preprocess.load(MediaFile.of_cell("a", "text", text), span)) for span in spans
    ]
    return features(made.eval(), values)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("pooling", ["mean", "attention", "gru"])
def test_rows_without_a_token_are_finite_and_disturb_nobody(kind: str, pooling: str) -> None:
    made = encoder(kind, pooling=pooling).eval()
    values = torch.zeros(3, 8, dtype=torch.long)
    values[1, :4] = torch.tensor([3, 4, 5, 6])
    with torch.inference_mode():
        together = made(values, values != 0)
        alone = made(values[1:2], values[1:2] != 0)
    assert torch.isfinite(together).all()
    assert torch.allclose(unit(together[1:2]), unit(alone), atol=1e-6)
    made.train()
    made(values, values != 0).sum().backward()
    assert all(w.grad.isfinite().all() for w in made.parameters() if w.grad is not None)


@pytest.mark.parametrize("kind", BODIES)
def test_more_padding_changes_nothing(kind: str) -> None:
    made = encoder(kind).eval()
    values = torch.zeros(1, 24, dtype=torch.long)
    values[0, :5] = torch.tensor([3, 4, 5, 6, 2])
    with torch.inference_mode():
        short, long = (unit(made(v, v != 0)) for v in (values[:, :8], values))
    assert (short - long).abs().max() <= 1e-6


def test_a_long_text_is_embedded_to_its_end() -> None:
    made = encoder()
    text = " ".join(PHRASES * 10)
    whole = embedded(made, text)
    assert len(whole) > 5
    changed = embedded(made, text.rsplit(" ", 1)[0] + " seven")
    assert torch.equal(whole[:-1], changed[:-1])
    assert (whole[-1] - changed[-1]).abs().max() > 1e-4


def test_a_prompt_makes_another_vector() -> None:
    made = encoder()
    plain = embedded(made, PHRASES[0])
    made.preprocess = replace(made.preprocess, prompt="query")
    assert (embedded(made, PHRASES[0]) - plain).abs().max() > 1e-4


def test_fitting_makes_a_table_with_a_row_a_token() -> None:
    made = encoder(preprocess=TextPreprocess(vocabulary=500, model="word"))
    assert made.table.num_embeddings == 500
    fitted = made.preprocess.fitted(PHRASES)
    made.adopt(fitted)
    assert made.preprocess is fitted
    assert made.table.num_embeddings == fitted.tokenizer.size < 500
    assert made.table.weight[0].abs().max() == 0
    held = assets_of(made)
    again = build(describe(made), assets=lambda name, digest: held[digest])
    again.load_state_dict(made.state_dict())
    assert torch.equal(embedded(made, PHRASES[1]), embedded(again, PHRASES[1]))
    before = made.table.weight.clone()
    made.adopt(fitted)
    assert torch.equal(made.table.weight, before), "once more changes nothing"


def test_tokens_that_are_padding_learn_nothing() -> None:
    made = encoder().train()
    values = torch.tensor([[3, 4, 0, 0], [5, 6, 7, 8]])
    made(values, values != 0).square().sum().backward()
    assert made.table.weight.grad[0].abs().max() == 0
    assert made.table.weight.grad[3].abs().max() > 0


def vectors(folder: Path, **words: list[float]) -> Path:
    lines = [f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in words.items()]
    (folder / "glove.txt").write_text("".join(lines), "utf-8")
    return folder / "glove.txt"


def row(made: TextEncoder, word: str) -> list[float]:
    return made.table.weight[made.preprocess.tokenizer.numbers[word]].tolist()


@pytest.mark.parametrize("tuned", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_the_table_starts_from_word_vectors(
    tmp_path: Path, tuned: bool, late: bool, capsys: pytest.CaptureFixture
) -> None:
    path = vectors(tmp_path, the=[1, 2, 3], drei=[4, 5, 6], Drei=[7, 8, 9], other=[0, 0, 0])
    first = replace(FITTED, tokenizer=None) if late else FITTED
    made = encoder(vectors=path, tune_vectors=tuned, preprocess=first)
    if late:
        assert capsys.readouterr().err == ""
        made.adopt(FITTED)
    said = capsys.readouterr().err
    words = len(FITTED.tokenizer.words())
    assert f"{path}: vectors of 2 of {words} words" in said
    assert made.table.embedding_dim == 3
    assert (row(made, "the"), row(made, "Drei")) == ([1, 2, 3], [7, 8, 9])
    assert row(made, "[PAD]") == [0, 0, 0]
    lacking = torch.tensor([row(made, word) for word in ("number", "seven", "[UNK]")])
    if tuned:
        assert len({tuple(each) for each in lacking.tolist()}) == 3
        assert (lacking - 5).abs().max() < 15
    else:
        assert torch.equal(lacking, torch.tensor([[4.0, 5.0, 6.0]] * 3))
    assert made.table.weight.requires_grad is tuned


def test_a_word_in_capitals_takes_the_vector_of_the_small_one(tmp_path: Path) -> None:
    made = encoder(vectors=vectors(tmp_path, drei=[1, 2]))
    assert row(made, "Drei") == [1, 2]


def test_frozen_vectors_stay_and_tuned_ones_move(tmp_path: Path) -> None:
    path = vectors(tmp_path, the=[1, 2, 3], seven=[4, 5, 6])
    for tuned in (True, False):
        made = encoder(vectors=path, tune_vectors=tuned).train()
        before = made.table.weight.clone()
        trained = [weight for weight in made.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=0.1)
        values = torch.tensor([[3, 4, 5, 6]])
        made(values, values != 0).square().sum().backward()
        optimizer.step()
        assert torch.equal(made.table.weight, before) is not tuned


def test_a_saved_space_does_not_name_the_file(tmp_path: Path) -> None:
    path = vectors(tmp_path, the=[1, 2, 3])
    for preprocess in (FITTED, TextPreprocess()):
        made = encoder(vectors=path, tune_vectors=False, preprocess=preprocess)
        described = describe(made)
        assert described["init_args"]["vectors"] is None
        assert str(tmp_path) not in str(described)
        path_gone = copy.deepcopy(described)
        held = assets_of(made)
        again = build(path_gone, assets=lambda name, digest, held=held: held[digest])
        assert again.table.embedding_dim == 3
        assert not again.table.weight.requires_grad


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"embedding_dim": 4}, r"embedding_dim 4, but .*glove.txt has vectors of 3. Leave"),
        ({"preprocess": TextPreprocess(model="word").fitted(["z"])}, "no vector of any of 1 words"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        encoder(vectors=vectors(tmp_path, the=[1, 2, 3]), **arguments)


@pytest.mark.parametrize("dim", [0, 8193])
def test_width_of_the_table_has_bounds(dim: int) -> None:
    with pytest.raises(ConfigError, match=f"embedding_dim {dim} must be from 1 to 8,192"):
        encoder(embedding_dim=dim)


def test_a_description_holds_the_body_beside_the_rest() -> None:
    arguments = describe(encoder("gru"))["init_args"]
    assert (arguments["kind"], arguments["width"], arguments["layers"]) == ("gru", 16, 2)
    assert "body" not in arguments


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vectors": "etc"}, "vectors: must be Path | None"),
        ({"vectors": "/etc/passwd"}, "vectors: must be Path | None"),
        ({"width": 1 << 13, "heads": 7}, "TokenBody can't be built: .*can't be split over 7 heads"),
        ({"layers": 1000}, "TokenBody can't be built: .*layers 1000"),
        ({"width": "wide"}, "width: must be int"),
        ({"kind": "eval"}, "kind: must be Literal"),
        ({"embedding_dim": 1 << 20}, "can't be built: .*embedding_dim 1048576 must be"),
        ({"pooling": "max"}, "pooling: must be Literal"),
    ],
)
def test_a_strangers_arguments_are_held_to_types_and_bounds(
    changes: dict[str, Any], says: str
) -> None:
    described = describe(encoder(preprocess=TextPreprocess(vocabulary=50)))
    described["init_args"] |= changes
    with pytest.raises(SpaceError, match=says):
        build(described)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokenizer": "tokenizer"}, "tokenizer: must be Tokenizer | Path | None"),
        ({"tokenizer": "/etc/passwd"}, "tokenizer: must be Tokenizer | Path | None"),
        ({"vocabulary": 1 << 40}, "vocabulary: must be int"),
        ({"max_tokens": 1 << 20}, "can't be built: .*max_tokens 1048576 must be"),
        ({"bucket_tokens": 0}, "can't be built: .*bucket_tokens 0 must be"),
        ({"prompts": [["a", 7]]}, "prompts: must be"),
        ({"prompts": [["a", "b", "c"]]}, "prompts: must be"),
        ({"prompts": [["a", "x" * 2000]]}, "prompts: must be"),
        ({"prompts": {"a": ["b"]}}, "can't be built: .*prompt 'a' needs"),
        ({"prompt": "a"}, "can't be built: .*there is no prompt 'a'"),
    ],
)
def test_a_strangers_preprocess_is_held_to_types_and_bounds(
    changes: dict[str, Any], says: str
) -> None:
    described = describe(TextPreprocess(vocabulary=50))
    described["init_args"] |= changes
    with pytest.raises(SpaceError, match=says):
        build(described)


def test_prompts_come_back_from_a_description() -> None:
    asked = TextPreprocess(prompts={"query": "Query, please: ", "doc": ""}, prompt="query")
    assert build(describe(asked)) == asked


def test_the_largest_table_takes_no_memory_before_weights_are_compared() -> None:
    described = describe(encoder(preprocess=TextPreprocess(vocabulary=1 << 20)))
    described["init_args"] |= {"width": 8192, "layers": 64, "embedding_dim": 8192, "heads": 1}
    with pytest.raises(SpaceError, match="describes a larger model than model.safetensors holds"):
        sketch(lambda: build(described), 2, 1000)
