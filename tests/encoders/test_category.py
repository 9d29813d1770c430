"""The encoder of ids: rows, weights, the unseen, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmembed.encoders import CategoryEncoder, Encoder
from mmembed.encoders.description import build, describe
from mmembed.encoders.size_limit import sketch
from mmembed.errors import ConfigError, SpaceError
from mmembed.media.file import MediaFile
from mmembed.preprocess.category import MOST_BUCKETS, CategoryPreprocess
from mmembed.preprocess.vocabulary import Vocabulary
from tests.encoders.contract import Example, features, unit

IDS = [f"id {i:02}" for i in range(60)]
KNOWN = CategoryPreprocess(Vocabulary.of(IDS))
HASHED = CategoryPreprocess(buckets=1000)


def bag(rng: np.random.Generator, size: int, encoder: Encoder) -> np.ndarray:
    """Values of 1 to 60 tags with weights of either sign, one of them unseen."""
    tags = rng.permutation([*IDS, "never seen"])[: 1 + size % 60].tolist()
    weights = rng.uniform(-1.0, 3.0, len(tags)).tolist()
    return values(encoder.preprocess, dict(zip(tags, weights, strict=True)))


def values(preprocess: CategoryPreprocess, item: object) -> np.ndarray:
    file = MediaFile.of_cell("", "category", json.dumps(item))
    return preprocess(preprocess.load(file))


def made(preprocess: CategoryPreprocess = KNOWN, **arguments: Any) -> CategoryEncoder:
    torch.manual_seed(3)
    return CategoryEncoder(preprocess=preprocess, **{"width": 16, **arguments}).eval()


def vector(encoder: CategoryEncoder, item: object) -> torch.Tensor:
    return features(encoder, [values(encoder.preprocess, item)])[0]


def row(encoder: CategoryEncoder, tag: str) -> torch.Tensor:
    return encoder.table.weight[2 + encoder.preprocess.vocabulary.places[tag]].detach()


EXAMPLES = {
    f"category-{pooling}-{name}": Example(
        lambda pooling=pooling, preprocess=preprocess: CategoryEncoder(
            16, pooling, dropout=0.1, preprocess=preprocess
        ),
        bag,
    )
    for pooling in ("mean", "sum")
    for name, preprocess in (("vocabulary", KNOWN), ("hashed", HASHED))
}


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(IDS), st.floats(-100, 100).filter(lambda w: abs(w) > 1e-3), min_size=1
    )
)
def test_features_are_the_weighted_sum_or_mean(tags: Mapping[str, float]) -> None:
    summed, mean = made(pooling="sum"), made(pooling="mean")
    expected = sum(row(summed, tag).double() * weight for tag, weight in tags.items())
    total = sum(abs(weight) for weight in tags.values())
    assert (vector(summed, tags) - expected).abs().max() <= 1e-6 * total
    assert (vector(mean, tags) - expected / total).abs().max() <= 1e-6


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(IDS), min_size=1, max_size=30))
def test_tags_without_weights_are_those_of_an_embedding_bag(tags: Sequence[str]) -> None:
    for pooling in ("sum", "mean"):
        encoder = made(pooling=pooling)
        bags = nn.EmbeddingBag.from_pretrained(encoder.table.weight.detach(), mode=pooling)
        rows = torch.tensor([[2 + KNOWN.vocabulary.places[tag] for tag in tags]])
        assert torch.allclose(vector(encoder, tags), bags(rows)[0], atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.floats(1e-6, 1e6))
def test_a_mean_does_not_depend_on_the_unit_of_its_weights(factor: float) -> None:
    tags = {"id 01": 1.0, "id 02": -0.25, "id 03": 3.0}
    scaled = {tag: weight * factor for tag, weight in tags.items()}
    assert torch.allclose(vector(made(), tags), vector(made(), scaled), atol=1e-6)


def test_weights_at_the_limits_stay_finite() -> None:
    for weight in (1e9, -1e9, 1e-25):
        for pooling in ("mean", "sum"):
            assert (
                vector(made(pooling=pooling), {"id 01": weight, "id 02": weight}).isfinite().all()
            )
    assert torch.allclose(vector(made(), {"id 01": 1e-25}), row(made(), "id 01"))


def test_opposite_weights_cancel_in_a_sum() -> None:
    tags = {"id 01": 2.0, "id 02": 1.0}
    against = {tag: -weight for tag, weight in tags.items()}
    for pooling in ("mean", "sum"):
        encoder = made(pooling=pooling)
        assert torch.equal(vector(encoder, tags), -vector(encoder, against))


def test_hashing_adds_the_two_rows_of_an_id() -> None:
    encoder = made(HASHED)
    first, second, _ = values(HASHED, "u17")[0].astype(int)
    table = encoder.table.weight.detach()
    assert torch.allclose(vector(encoder, "u17"), table[first] + table[second])
    assert encoder.table.num_embeddings == 1002
    assert not torch.equal(vector(encoder, "u17"), vector(encoder, "u18"))


def test_an_unknown_tag_among_known_ones_changes_no_direction_before_it_is_learnt() -> None:
    encoder = made()
    known, mixed = vector(encoder, ["id 07"]), vector(encoder, ["id 07", "never seen"])
    assert torch.allclose(unit(known), unit(mixed))
    assert torch.equal(vector(encoder, "one"), vector(encoder, "another"))
    assert not vector(encoder, "one").any()


def test_the_row_of_the_unseen_is_learnt_from_hidden_ids() -> None:
    item = torch.from_numpy(values(KNOWN, IDS))[None]
    for share in (0.0, 0.5):
        encoder = made(unseen_share=share).train()
        encoder(item).sum().backward()
        assert bool(encoder.table.weight.grad[1].any()) == (share > 0)
        assert not encoder.table.weight.grad[0].any()


def test_a_rare_id_teaches_the_row_of_the_unseen() -> None:
    items = [json.dumps(each) for each in ("often", "often", "rare")]
    preprocess = CategoryPreprocess(least_count=2).fitted(items)
    encoder = made(preprocess).train()
    encoder(torch.from_numpy(values(preprocess, "rare"))[None]).sum().backward()
    assert encoder.table.weight.grad[1].all()


def test_the_share_of_hidden_ids_is_what_was_asked_for() -> None:
    encoder = made(unseen_share=0.3, pooling="sum").train()
    with torch.no_grad():
        encoder.table.weight.fill_(1.0)
        encoder.table.weight[1] = 0
        item = torch.from_numpy(values(KNOWN, IDS))[None].expand(500, -1, -1)
        kept = encoder(item).mean() / len(IDS)
        assert abs(float(kept) - 0.7) < 0.02
        assert torch.equal(encoder.eval()(item), torch.full((500, 16), float(len(IDS))))


def test_values_behind_the_mask_change_nothing() -> None:
    for encoder in (made(), made(pooling="sum"), made(HASHED)):
        item = torch.from_numpy(values(encoder.preprocess, IDS[:8]))[None]
        mask = torch.arange(8)[None] < 3
        dirty = item.clone()
        dirty[:, 3:, :-1], dirty[:, 3:, -1] = 5, 1e6
        with torch.inference_mode():
            assert torch.equal(encoder(item, mask), encoder(dirty, mask))
            assert torch.allclose(encoder(item, mask), encoder(item[:, :3]), atol=1e-6)


def test_dropout_is_of_training_alone() -> None:
    encoder = made(dropout=0.5)
    item = torch.from_numpy(values(KNOWN, "id 05"))[None].expand(200, -1, -1)
    assert encoder(item).all()
    zeros = (encoder.train()(item) == 0).float().mean()
    assert abs(float(zeros) - 0.5) < 0.05


def test_autocast_leaves_the_sum_in_fp32() -> None:
    encoder = made(HASHED)
    item = torch.from_numpy(values(HASHED, IDS))[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        reduced = encoder(item)
    assert torch.equal(reduced, encoder(item))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_type_that_rounds_rows_is_refused(dtype: torch.dtype) -> None:
    item = torch.from_numpy(values(KNOWN, "id 05"))[None]
    assert torch.equal(made()(item), made()(item.float()))
    with pytest.raises(ConfigError, match="can't hold the numbers of rows; train with precision"):
        made()(item.to(dtype))
    assert torch.tensor(2.0 + MOST_BUCKETS).long() == 2 + MOST_BUCKETS, "float32 holds the last"


def test_a_learnt_vocabulary_is_taken_over_with_a_table_for_it() -> None:
    encoder = CategoryEncoder(16)
    assert encoder.table.num_embeddings == 2
    assert not encoder.preprocess.is_fitted
    encoder.adopt(KNOWN)
    assert encoder.preprocess is KNOWN
    assert encoder.table.weight.shape == (62, 16)
    assert vector(encoder.eval(), "id 05").norm() > 0.3
    table = encoder.table
    encoder.adopt(CategoryPreprocess(Vocabulary.of(IDS)))
    assert encoder.table is table, "the same vocabulary keeps what was learnt"
    encoder.adopt(CategoryPreprocess(Vocabulary.of([f"other {i}" for i in range(60)])))
    assert encoder.table is not table, "a row must not pass to another id"
    hashed = CategoryEncoder(16, preprocess=HASHED).double()
    table = hashed.table
    hashed.adopt(HASHED)
    assert hashed.table is table
    hashed.adopt(CategoryPreprocess(buckets=7))
    assert hashed.table.weight.shape == (9, 16)
    assert hashed.table.weight.dtype == torch.float64


def test_the_description_is_of_the_preprocess_in_use() -> None:
    encoder = CategoryEncoder(16, preprocess=HASHED)
    encoder.adopt(CategoryPreprocess(buckets=7, separator="|"))
    again = build(describe(encoder))
    assert again.preprocess == encoder.preprocess
    assert again.table.weight.shape == (9, 16)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"width": 0}, "width 0 must be from 1 to 8,192"),
        ({"width": 8193}, "width 8193 must be from 1"),
        ({"unseen_share": 1.0}, "unseen_share 1.0 and dropout 0.0 at least 0 and less than 1"),
        ({"unseen_share": -0.1}, "unseen_share -0.1 and dropout"),
        ({"dropout": float("nan")}, "dropout nan at least 0"),
        ({"unseen_share": 0.1, "preprocess": HASHED}, "unseen_share 0.1 needs a vocabulary"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CategoryEncoder(**arguments)


def described(**arguments: object) -> dict[str, Any]:
    inside = {"class_path": "mmembed.preprocess.category.CategoryPreprocess"}
    preprocess = {**inside, "init_args": arguments}
    return {
        "class_path": "mmembed.encoders.category.CategoryEncoder",
        "init_args": {"width": 8, "preprocess": preprocess},
    }


def test_a_description_may_have_as_many_buckets_as_there_are_rows() -> None:
    preprocess = described(buckets=MOST_BUCKETS)["init_args"]["preprocess"]
    assert build(preprocess).rows == MOST_BUCKETS + 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"buckets": MOST_BUCKETS + 1}, "preprocess.buckets: must be int, not 16000001"),
        ({"buckets": 2.0}, "preprocess.buckets: must be int"),
        ({"buckets": True}, "preprocess.buckets: must be int"),
        ({"buckets": -1}, "can't be built: .*buckets -1"),
        ({"separator": "(a+)+$"}, "preprocess.separator: must be Literal"),
        ({"separator": None}, "preprocess.separator: must be"),
        ({"most_tags": 1 << 20}, "most_tags 1048576 must be from 1"),
        ({"vocabulary": ["a"]}, "preprocess.vocabulary: must be Vocabulary"),
        ({"vocabulary": "../ids.json"}, "preprocess.vocabulary: must be Vocabulary"),
    ],
)
def test_a_strangers_arguments_are_typed_and_bounded(
    arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(SpaceError, match=says) as caught:
        build(described(**arguments))
    assert "\n" not in str(caught.value)


def test_a_table_larger_than_its_weights_is_never_made() -> None:
    with pytest.raises(SpaceError, match="describes a larger model"):
        sketch(lambda: build(described(buckets=MOST_BUCKETS)), 1, 1000)
    small = sketch(lambda: build(described(buckets=1000)), 1, 40_000)
    assert small.table.weight.is_meta
    assert small.table.weight.shape == (1002, 8)


def test_training_tells_ids_apart() -> None:
    encoder, wanted = made(HASHED).train(), torch.eye(16)[:8]
    items = torch.from_numpy(np.stack([values(HASHED, tag) for tag in IDS[:8]]))
    optimizer = torch.optim.Adam(encoder.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        (unit(encoder(items)) - wanted).square().sum().backward()
        optimizer.step()
    assert torch.equal((unit(encoder(items)) @ wanted.T).argmax(1), torch.arange(8))
