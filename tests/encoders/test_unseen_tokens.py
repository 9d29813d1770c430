"""The token for unknown words is trained by hiding others behind it, and only while training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch

from mmembed.errors import ConfigError
from mmembed.preprocess.text import TextPreprocess
from tests.encoders.test_text import encoder


def test_a_share_of_tokens_is_unknown_in_training_and_none_afterwards() -> None:
    torch.manual_seed(0)
    made = encoder(unseen_share=0.3).train()
    values = torch.from_numpy(
        np.random.default_rng(0).integers(2, made.table.num_embeddings, (200, 24))
    )
    values[:, 20:] = 0
    seen = []
    made.table.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    made(values, values != 0)
    changed = seen[0] != values
    assert (seen[0][changed] == made.preprocess.tokenizer.numbers["[UNK]"]).all()
    assert 0.25 < changed[:, :20].float().mean() < 0.35
    assert not changed[:, 20:].any()
    made.eval()(values, values != 0)
    assert torch.equal(seen[1], values)
    encoder(unseen_share=0.0).train()(values, values != 0)


def test_the_unknown_token_is_that_of_the_tokenizer_or_refused(tmp_path: Path) -> None:
    words = {"[PAD]": 0, "one": 1, "two": 2, "[UNK]": 3}
    for name, unknown in (("with", "[UNK]"), ("without", "two")):
        kept = {word: number for word, number in words.items() if word in (unknown, "one", "two")}
        own = tokenizers.Tokenizer(tokenizers.models.WordLevel(kept, unk_token=unknown))
        own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        own.save(str(tmp_path / f"{name}.json"))
    preprocess = TextPreprocess(tokenizer=tmp_path / "with.json", max_tokens=24)
    made = encoder(unseen_share=0.9, preprocess=preprocess).train()
    seen = []
    made.table.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    made(torch.full((30, 5), made.preprocess.tokenizer.numbers["one"]))
    assert set(seen[0].unique().tolist()) == {
        made.preprocess.tokenizer.numbers[word] for word in ("one", "[UNK]")
    }
    preprocess = TextPreprocess(tokenizer=tmp_path / "without.json", max_tokens=24)
    with pytest.raises(ConfigError, match=r"unseen_share 0.1 needs a tokenizer with .* \[UNK\]"):
        encoder(unseen_share=0.1, preprocess=preprocess)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=f"unseen_share {share} must be at least 0 and less"):
        encoder(unseen_share=share)
