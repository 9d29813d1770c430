"""Heads: features to the dimension of the space, or as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmembed.encoders import ImageEncoder
from mmembed.errors import ConfigError, SpaceError
from mmembed.preprocess.image import ImagePreprocess
from mmembed.space.heads import IdentityHead, LinearHead, MLPHead, heads
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import read_card
from tests.conftest import tiny_encoders
from tests.space_files import change, copied


@pytest.fixture
def features() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 6)


def test_a_linear_head_is_a_norm_and_a_map(features: torch.Tensor) -> None:
    head = LinearHead(6, 3)
    norm, _, last = head.layers
    assert torch.equal(head(features), last(norm(features)))
    assert head(features).shape == (4, 3)


def test_an_mlp_has_dropout_in_training_alone(features: torch.Tensor) -> None:
    head = MLPHead(6, 3, hidden=12, dropout=0.5)
    assert not torch.equal(head(features), head(features))
    assert torch.equal(head.eval()(features), head(features))
    assert head(features).shape == (4, 3)


def test_no_head_leaves_features_as_they_are(features: torch.Tensor) -> None:
    assert IdentityHead()(features) is features
    assert not IdentityHead().state_dict()


@pytest.mark.parametrize(
    ("hidden", "kinds"),
    [
        (0, (LinearHead, LinearHead)),
        (7, (MLPHead, MLPHead)),
        (None, (IdentityHead, IdentityHead)),
        ({"a": None, "b": 0}, (IdentityHead, LinearHead)),
        ({"b": 5, "a": 0}, (LinearHead, MLPHead)),
    ],
)
def test_hidden_says_which_head_a_field_has(hidden: object, kinds: tuple) -> None:
    made = heads({"a": 4, "b": 4}, 4, hidden, 0.0)
    assert (type(made["a"]), type(made["b"])) == kinds


@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        (None, "space.hidden: b has no head, so its 5 features are the vector, but dim is 4"),
        ({"a": 0, "b": None}, "b has no head, so its 5 features"),
        ({"a": 0}, "space.hidden: names a, but the fields are a, b"),
        ({"a": 0, "b": 0, "c": 0}, "names a, b, c, but the fields are a, b"),
    ],
)
def test_a_head_that_cannot_be_is_named(hidden: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        heads({"a": 4, "b": 5}, 4, hidden, 0.0)


@pytest.mark.parametrize("hidden", [0, 8])
def test_state_has_the_names_of_version_0_1(hidden: int) -> None:
    space = Space({"image": tiny_encoders()["image"]}, dim=4, hidden=hidden)
    last = 5 if hidden else 2
    named = {name for name in space.state_dict() if name.startswith("projections.")}
    numbers = {int(name.split(".")[3]) for name in named}
    assert all(name.startswith("projections.image.layers.") for name in named)
    assert numbers == ({0, 2, 5} if hidden else {0, 2})
    assert space.projections["image"].layers[last].out_features == 4


def test_a_space_without_heads_gives_its_encoders_features(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    encoder = ImageEncoder("test_vit", preprocess=ImagePreprocess(size=48))
    space = Space({"image": encoder}, dim=encoder.width, hidden=None).eval()
    pixels = rng.integers(0, 256, (2, 48, 48, 3), np.uint8)
    vectors = space.encode(list(pixels))
    with torch.inference_mode():
        made = encoder(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    expected = torch.nn.functional.normalize(made, dim=-1).numpy()
    assert np.abs(vectors - expected).max() <= 1e-6
    again = load_space(space.save(tmp_path / "space"))
    assert read_card(tmp_path / "space")["hidden"] is None
    assert again.fingerprint == space.fingerprint
    assert np.array_equal(again.encode(list(pixels)), vectors)


def test_heads_by_field_are_saved_and_loaded(tmp_path: Path) -> None:
    towers = tiny_encoders()
    encoders = {"image": towers["image"], "audio": towers["audio"]}
    space = Space(encoders, dim=32, hidden={"image": None, "audio": 4})
    again = load_space(space.save(tmp_path / "space"))
    assert isinstance(again.projections["image"], IdentityHead)
    assert isinstance(again.projections["audio"], MLPHead)
    assert again.fingerprint == space.fingerprint
    plain = Space(encoders, dim=32, hidden={"image": 4, "audio": 4})
    assert plain.fingerprint != space.fingerprint


def test_heads_of_a_stranger_that_do_not_fit_are_named(eyes: Path, tmp_path: Path) -> None:
    for number, (hidden, says) in enumerate(
        [(None, "its 32 features are the vector, but dim is 4"), ({"x": 0}, "names x, but the")]
    ):
        folder = copied(eyes, tmp_path / str(number))
        change(folder, ["hidden"], hidden)
        with pytest.raises(SpaceError, match=rf"space\.json: space.hidden: .*{says}"):
            load_space(folder)
