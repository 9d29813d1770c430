"""The Lightning module: weighted pairs of modalities contrasted in one space.

It knows batches and spaces, and nothing of files or preprocessing.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from mmembed.data.batch import Batch
from mmembed.errors import ConfigError
from mmembed.space.space import Space
from mmembed.training.losses import InfoNCE, Loss, Relation
from mmembed.training.mixed_precision import MixedPrecision
from mmembed.training.nonfinite_steps import SkipNonFiniteSteps
from mmembed.training.optim import adamw, warmup_cosine
from mmembed.training.validation_metrics import VectorCollector

CHANCE_EVERY = 5
STUCK = 0.01


class ContrastiveModule(pl.LightningModule):
    """Trains a space: items of one sample close, other items far, over pairs of modalities.

    A pair's scores are ``exp(logit_scale) * a @ b.T``. The loss of a batch is the weighted sum over
    the pairs; samples may lack modalities, and a pair with nobody to match in a batch is left
    out of it.

    Args:
        space: the space to train.
        loss: how the scores of a pair become a loss.
        pairs: weight by pair, such as ``image-audio: 1.0``; a modality with itself
            (``image-image``) contrasts within it. None weighs every two modalities 1.
        temperature: start of the learned temperature ``1 / exp(logit_scale)`` (CLIP: 0.07).
        least_temperature: the temperature never gets lower (CLIP: 0.01).
        learning_rate: peak of the warm-up and cosine schedule.
        weight_decay: of AdamW; norms, biases and the temperature do not decay.
        warmup_share: share of the steps that warm up.

    Raises:
        ConfigError: a pair names a modality that the space lacks, or a value is out of range.
    """

    def __init__(
        self,
        space: Space,
        loss: Loss | None = None,
        pairs: dict[str, float] | None = None,
        temperature: float = 0.07,
        least_temperature: float = 0.01,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warmup_share: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 < least_temperature <= temperature:
            raise ConfigError(
                f"model.temperature {temperature}: needs 0 < least_temperature <= temperature"
            )
        self.space = space
        self.loss = loss or InfoNCE()
        self.pairs = self._read_pairs(pairs)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.largest_scale = -math.log(least_temperature)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warmup_share = warmup_share
        self.collector = VectorCollector()
        self.mixed_precision = MixedPrecision(space)
        self._ratios: list[Tensor] = []

    def _read_pairs(self, pairs: dict[str, float] | None) -> dict[tuple[str, str], float]:
        known = self.space.modalities
        if pairs is None:
            pairs = {f"{a}-{b}": 1.0 for a, b in combinations(known, 2)}
        read: dict[tuple[str, str], float] = {}
        for name, weight in pairs.items():
            first, _, second = name.partition("-")
            if first not in known or second not in known:
                raise ConfigError(
                    f"model.pairs.{name}: write two of {', '.join(known)} with a hyphen between"
                )
            read[first, second] = weight
        if not any(weight > 0 for weight in read.values()):
            raise ConfigError("model.pairs: at least one pair needs a weight above 0")
        return read

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Return, by modality, the unit vectors ``(items, dim)`` of a batch."""
        return self.mixed_precision.embed(batch)

    def pair_losses(self, vectors: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the unweighted loss of each pair that has somebody to match in the batch."""
        scale = self.logit_scale.clamp(max=self.largest_scale).exp()
        losses = {}
        for first, second in self.pairs:
            if first not in vectors or second not in vectors:
                continue
            rows = (batch.rows[first], batch.rows[second])
            relation = Relation.of(rows, batch.label, batch.group, first == second)
            with torch.autocast(scale.device.type, enabled=False):
                scores = scale * vectors[first] @ vectors[second].T
                if scores.numel() > 1:
                    losses[f"{first}-{second}"] = self.loss(scores, relation)
        return losses

    def batch_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum over the pairs, and each pair's loss."""
        losses = self.pair_losses(self.embed(batch), batch)
        total = 0 * self.logit_scale
        for (first, second), weight in self.pairs.items():
            if f"{first}-{second}" in losses:
                total = total + weight * losses[f"{first}-{second}"]
        return total, losses

    def on_train_start(self) -> None:
        """Fix what all later randomness derives from."""
        self._seed = torch.initial_seed() % 2**31

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout and masking a function of seed and step, so that a resumed run is equal."""
        torch.manual_seed(self._seed * 1_000_003 + self.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch; one that is not finite is logged nowhere."""
        total, losses = self.batch_loss(batch)
        if not torch.isfinite(total):
            return total
        if batch_idx % CHANCE_EVERY == 0:
            self._ratios.append(self._share_of_chance(batch, losses))
        size, scale = len(batch), self.logit_scale.detach().clamp(max=self.largest_scale).exp()
        self.log("train/loss", total, on_step=True, on_epoch=True, batch_size=size)
        parts = {f"train/loss/{name}": value for name, value in losses.items()}
        self.log_dict(
            {**parts, "train/logit_scale": scale}, on_step=False, on_epoch=True, batch_size=size
        )
        return total

    @torch.no_grad()
    def _share_of_chance(self, batch: Batch, losses: dict[str, Tensor]) -> Tensor:
        """Return the loss as a share of what constant vectors (ln B for InfoNCE) would cost."""
        constant = {m: v.new_zeros(len(v), 1) for m, v in batch.values.items()}
        constant = {m: v.float() for m, v in constant.items()}
        chance = self.pair_losses(constant, batch)
        total = sum(losses.values(), torch.zeros_like(self.logit_scale))
        return total / sum(chance.values(), torch.full_like(self.logit_scale, 1e-9))

    def on_train_epoch_end(self) -> None:
        """Warn if, past the first epoch, the loss is that of constant vectors."""
        ratios, self._ratios = self._ratios, []
        if self.current_epoch and ratios and float((torch.stack(ratios) - 1).abs().max()) < STUCK:
            pl.utilities.rank_zero_warn(
                "the loss has stayed at that of constant vectors (ln B): the space has collapsed. "
                "Lower model.learning_rate, or look at the pairs and labels."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather the vectors of a batch."""
        self.collector.add(self.embed(batch), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather the vectors of a batch."""
        self.collector.add(self.embed(batch), batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return, by modality, which samples of the split, and their vectors ``(items, dim)``."""
        return {m: (batch.index[batch.rows[m]], v) for m, v in self.embed(batch).items()}

    def on_validation_epoch_end(self) -> None:
        """Log retrieval in every direction, and warn of a collapse."""
        self._report("val")

    def on_test_epoch_end(self) -> None:
        """Log retrieval in every direction."""
        self._report("test")

    def _report(self, stage: str) -> None:
        scores, warnings = self.collector.finish()
        self.log_dict({f"{stage}/{name}": value for name, value in scores.items()})
        mean = [v for name, v in scores.items() if name.endswith("/mAP")]
        if mean:
            self.log(f"{stage}/mAP", sum(mean) / len(mean), prog_bar=True)
        for warning in warnings:
            if not self.trainer.sanity_checking:
                pl.utilities.rank_zero_warn(warning)

    def configure_callbacks(self) -> pl.Callback:
        """Return the callback that skips steps which are not finite."""
        return SkipNonFiniteSteps(self.mixed_precision.compare_again)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep why the run goes on in fp32."""
        checkpoint["mixed_precision"] = self.mixed_precision.disagreement

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on in fp32 if the run did."""
        self.mixed_precision.disagreement = checkpoint.get("mixed_precision", "")

    def configure_optimizers(self) -> Any:
        """Return AdamW with warm-up and cosine decay a step."""
        optimizer = adamw(self, self.learning_rate, self.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = warmup_cosine(optimizer, round(self.warmup_share * total), total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
