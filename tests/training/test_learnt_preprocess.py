"""A checkpoint holds what a preprocess learnt as plain data, and gives it back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmembed.errors import ConfigError
from mmembed.preprocess.vocabulary import Vocabulary
from mmembed.training.learnt_preprocess import learnt_state, with_state
from tests.data.word_list import WordPreprocess


@dataclass(frozen=True)
class ScaledPreprocess(WordPreprocess):
    """One that learns numbers too."""

    mean: tuple[float, ...] = ()
    names: Any = None


BARE = ScaledPreprocess(segment_words=3)
FITTED = replace(BARE, known=Vocabulary.of(["a", "b"]), mean=(0.5, 1.0))


def test_only_learnt_arguments_are_kept_and_a_checkpoint_loads_them_safely(tmp_path: Path) -> None:
    state = learnt_state(BARE, FITTED)
    assert state == {"known": b'["a", "b"]', "mean": (0.5, 1.0)}
    torch.save({"learnt": {"text": state}}, tmp_path / "x.ckpt")
    loaded = torch.load(tmp_path / "x.ckpt", weights_only=True)["learnt"]["text"]
    assert with_state(BARE, loaded) == FITTED


def test_the_config_decides_all_that_was_not_learnt() -> None:
    restored = with_state(replace(BARE, segment_words=7), learnt_state(BARE, FITTED))
    assert restored == replace(FITTED, segment_words=7)
    assert with_state(BARE, {}) is BARE


def test_what_a_checkpoint_can_not_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ScaledPreprocess.names: learnt a set, which a checkpo"):
        learnt_state(BARE, replace(BARE, names={1}))
    nested = replace(BARE, names={"a": [1, {"b": None}]})
    assert with_state(BARE, learnt_state(BARE, nested)) == nested
    with pytest.raises(ConfigError, match="learnt a list, which"):
        learnt_state(BARE, replace(BARE, names=[{"a": object()}]))


def test_a_state_of_another_preprocess_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="the checkpoint holds its merges, which it does not take"
    ):
        with_state(BARE, {"merges": b""})
