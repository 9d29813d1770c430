"""Lightning module: weighted pairs of fields contrasted in one space, and classes told apart.

It knows batches and spaces, and nothing of files; what preprocesses learnt of the data it hands to
the space, and keeps in checkpoints.
"""

from __future__ import annotations

import math
from itertools import chain, combinations
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from mmembed.data.batch import Batch
from mmembed.errors import ConfigError
from mmembed.space.space import Space
from mmembed.store.labels import ABOUT
from mmembed.training.datamodule import MediaDataModule
from mmembed.training.learnt_preprocess import State, learnt_state, with_state
from mmembed.training.losses import ClassLoss, InfoNCE, PairLoss, Relation
from mmembed.training.mixed_precision import MixedPrecision
from mmembed.training.nonfinite_steps import SkipNonFiniteSteps
from mmembed.training.optim import (
    LEARNING_RATE,
    OptimizerCallable,
    Schedule,
    SchedulerCallable,
    make_optimizer,
    make_schedule,
)
from mmembed.training.validation_metrics import VectorCollector

LABEL = "label"  # stands for the classes in a pair such as image-label
SAMPLE_COLUMNS = ("id", *ABOUT)
CHANCE_EVERY = 5
STUCK = 0.01


class ContrastiveModule(pl.LightningModule):
    """Trains a space: items of one sample close, other items far, over pairs of fields.

    Cosines are scaled by ``exp(logit_scale)``, which is learned. The loss of a batch is the
    weighted sum over the pairs; samples may lack fields, and a pair with nobody to match in a batch
    is left out of it.

    Args:
        space: the space to train.
        loss: of the vectors of a pair; None for :class:`~mmembed.training.losses.InfoNCE`.
        pairs: weight by pair of fields, such as ``image-audio: 1.0`` or ``user-item: 1.0``; a field
            with itself (``image-image``) contrasts within it, and one with ``label``
            (``image-label``) has the class loss. None weighs every two fields 1, and with a class
            loss each with ``label``.
        class_loss: of the vectors of a field and the labels of their samples, if any.
        temperature: start of the learned temperature ``1 / exp(logit_scale)`` (CLIP: 0.07).
        least_temperature: the temperature never gets lower (CLIP: 0.01).
        optimizer: makes an optimizer of groups of weights; norms, biases and scalars do not decay.
            None for AdamW as :data:`mmembed.training.optim.ADAMW` has it.
        schedule: of the learning rate; a schedule of mmembed moves every step, one of torch every
            epoch. None for :class:`~mmembed.training.optim.WarmupCosine`.

    Raises:
        ConfigError: a pair names a field that the space lacks, a field is called as a column that
            says what a sample is, or a value is out of range.
    """

    def __init__(
        self,
        space: Space,
        loss: PairLoss | None = None,
        pairs: dict[str, float] | None = None,
        class_loss: ClassLoss | None = None,
        temperature: float = 0.07,
        least_temperature: float = 0.01,
        optimizer: OptimizerCallable | None = None,
        schedule: Schedule | SchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        if not 0 < least_temperature <= temperature:
            raise ConfigError(
                f"model.temperature {temperature}: needs 0 < least_temperature <= temperature"
            )
        for field in space.fields:
            if field in SAMPLE_COLUMNS:
                raise ConfigError(
                    f"model.space.encoders.{field}: a field can't be trained by this name, which "
                    "is that of a column about the sample itself; call it otherwise"
                )
        self.space = space
        self.loss = loss or InfoNCE()
        self.class_loss = class_loss
        self.pairs = self._read_pairs(pairs)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.largest_scale = -math.log(least_temperature)
        self.optimizer, self.schedule = optimizer, schedule
        self.collector = VectorCollector()
        self.mixed_precision = MixedPrecision(space)
        self._ratios: list[Tensor] = []
        self._learnt: dict[str, State] = {}

    def _read_pairs(self, pairs: dict[str, float] | None) -> dict[tuple[str, str], float]:
        known = tuple(self.space.fields)
        if pairs is None:
            pairs = {f"{a}-{b}": 1.0 for a, b in combinations(known, 2)}
            pairs |= {f"{field}-{LABEL}": 1.0 for field in known if self.class_loss is not None}
        read: dict[tuple[str, str], float] = {}
        for name, weight in pairs.items():
            first, _, second = name.partition("-")
            if first not in known or second not in (*known, LABEL):
                raise ConfigError(
                    f"model.pairs.{name}: write two of {', '.join(known)} with a hyphen between"
                )
            if second == LABEL and self.class_loss is None:
                raise ConfigError(f"model.pairs.{name}: choose its loss in model.class_loss")
            read[first, second] = weight
        if self.class_loss is not None and not any(second == LABEL for _, second in read):
            raise ConfigError(
                f"model.class_loss: no pair weighs it; add one such as {known[0]}-{LABEL}: 1.0 to "
                "model.pairs"
            )
        if not any(weight > 0 for weight in read.values()):
            raise ConfigError("model.pairs: at least one pair needs a weight above 0")
        return read

    def setup(self, stage: str) -> None:
        """Take over what the data's preprocesses learnt.

        Raises:
            ManifestError: a field that is to be trained has nothing to train on.
        """
        data = self._data
        if data is None:
            return
        for field, fitted in data.learnt.items():
            own = self.space.preprocess[field]
            if own.is_fitted:  # it belongs to the weights
                data.adopt({field: own})
            else:
                self._learnt[field] = learnt_state(own, fitted)
                self.space.adopt({field: fitted})
        if stage == "fit":
            named = chain(*(pair for pair, weight in self.pairs.items() if weight > 0))
            data.check_items(field for field in named if field != LABEL)

    @property
    def _data(self) -> MediaDataModule | None:
        data = getattr(self._trainer, "datamodule", None)
        return data if isinstance(data, MediaDataModule) else None

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Return, by field, the unit vectors ``(items, dim)`` of a batch."""
        return self.mixed_precision.embed(batch)

    def pair_losses(self, vectors: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the unweighted loss of each pair that has somebody to match in the batch."""
        scale = self.logit_scale.clamp(max=self.largest_scale).exp()
        losses = {}
        for first, second in self.pairs:
            if first not in vectors or second not in vectors:
                continue
            a, b = vectors[first], vectors[second]
            if len(a) * len(b) < 2:
                continue
            rows = (batch.rows[first], batch.rows[second])
            relation = Relation.of(rows, batch.label, batch.group, first == second)
            with torch.autocast(scale.device.type, enabled=False):
                losses[f"{first}-{second}"] = self.loss(a, b, scale, relation)
        return losses

    def class_losses(self, vectors: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the unweighted class loss of each field that has one and is in the batch."""
        losses = {}
        for field, second in self.pairs:
            if second != LABEL or field not in vectors or self.class_loss is None:
                continue
            some = vectors[field]
            with torch.autocast(some.device.type, enabled=False):
                loss = self.class_loss(some, batch.label[batch.rows[field]])
            losses[f"{field}-{LABEL}"] = loss
        return losses

    def batch_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum over the pairs, and each pair's loss."""
        vectors = self.embed(batch)
        losses = self.pair_losses(vectors, batch) | self.class_losses(vectors, batch)
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
        """Return the pairs' loss as a share of what constant vectors (ln B for InfoNCE) cost."""
        constant = {m: self.logit_scale.new_ones(len(v), 1) for m, v in batch.values.items()}
        chance = self.pair_losses(constant, batch)
        total = sum((losses[name] for name in chance), torch.zeros_like(self.logit_scale))
        return total / sum(chance.values(), torch.full_like(self.logit_scale, 1e-9))

    def on_train_epoch_end(self) -> None:
        """Warn if, past the first epoch, the loss is that of constant vectors."""
        ratios, self._ratios = self._ratios, []
        if self.current_epoch and ratios and float((torch.stack(ratios) - 1).abs().max()) < STUCK:
            pl.utilities.rank_zero_warn(
                "the loss has stayed at that of constant vectors (ln B): the space has collapsed. "
                f"Lower {LEARNING_RATE}, or look at the pairs and labels."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather the vectors of a batch."""
        self.collector.add(self.embed(batch), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather the vectors of a batch."""
        self.collector.add(self.embed(batch), batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return, by field, which samples of the split, and their vectors ``(items, dim)``."""
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
        """Keep why the run goes on in fp32, and what preprocesses learnt."""
        checkpoint["mixed_precision"] = self.mixed_precision.disagreement
        checkpoint["learnt"] = self._learnt

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on in fp32 if the run did, and with what its preprocesses learnt.

        Raises:
            ConfigError: the checkpoint lacks what a preprocess has to learn.
        """
        self.mixed_precision.disagreement = checkpoint.get("mixed_precision", "")
        self._learnt = checkpoint.get("learnt", {})
        for field, own in self.space.preprocess.items():
            fitted = with_state(own, self._learnt.get(field, {}))
            if not fitted.is_fitted:
                raise ConfigError(
                    f"ckpt_path: the checkpoint has nothing that field {field} learnt; it is of "
                    "another model than the config"
                )
            if fitted != own:
                self.space.adopt({field: fitted})
            if self._data is not None:
                self._data.adopt({field: fitted})

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule, unless others were chosen AdamW and a cosine."""
        optimizer = make_optimizer(self, self.optimizer)
        total = self.trainer.estimated_stepping_batches
        return {
            "optimizer": optimizer,
            "lr_scheduler": make_schedule(self.schedule, optimizer, total),
        }
