"""Lightning data module: a manifest or folder to train, val, test and predict batches."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn
from torch.utils.data import DataLoader

from mmembed.data.augment import Chain
from mmembed.data.batch import Batch
from mmembed.data.batch_sampler import LengthBatchSampler
from mmembed.data.manifest import Samples, read_samples
from mmembed.data.samples import MediaDataset, OnError, probe_files, report_bad_files
from mmembed.errors import ConfigError, ManifestError, MmembedError
from mmembed.errors.plain_text import say
from mmembed.media.regions import path_and_region
from mmembed.preprocess.base import Preprocess
from mmembed.store.cells import items_of

Loader = DataLoader[Batch]
Augmentation = nn.Module | list[nn.Module]


@dataclass(frozen=True)
class Loading:
    """Processes and memory that decoding takes, and what becomes of files that can't be decoded.

    Args:
        num_workers: processes that decode; 0 decodes in the main process.
        cache_mb: memory for preprocessed values, a process; small sets decode only once.
        on_error: ``skip`` files that can't be read, or ``raise`` at once.
    """

    num_workers: int = 0
    cache_mb: float = 1024
    on_error: OnError = "skip"


USUAL_LOADING = Loading()


class MediaDataModule(pl.LightningDataModule):
    """Batches of samples with any subset of the fields.

    All files are probed once at the start; those that can't be read are named and counted, and
    their samples go without them. A preprocess that has to learn does so from split ``train``
    alone. Training batches hold samples of similar length and are augmented as a whole, on the
    device; evaluation sees exact preprocessing only.

    Args:
        manifest: a Parquet, CSV, TSV or JSONL manifest, or a folder of media and texts.
        preprocess: by field; the command line takes it from the model's encoders.
        batch_size: samples a batch.
        augment: by field, a module ``(values, mask, generator) -> (values, mask)`` for training
            batches, or several in their order (see :mod:`mmembed.data.augment`).
        val_fraction: share of the groups held out of training where no split is named ``val``;
            0 for no validation.
        loading: processes and memory that decoding takes, and what becomes of broken files.
        label_separator: stands between several labels of a cell (``|``); empty where a cell is one
            label, and for a column of lists. Samples are alike that share a label.
        seed: of the order, the split and the augmentation.

    Attributes:
        learns: whether preprocesses learn in :meth:`setup`; set it to false to save the time where
            a checkpoint comes next, which holds what they learnt.
        learnt: by field, a preprocess that learnt from split ``train``.

    Raises:
        ConfigError: a value out of range, or an augmentation of a field that the space lacks.
        ManifestError: the source can't be read, or has nothing to train on.
    """

    def __init__(
        self,
        manifest: str | os.PathLike,
        preprocess: Mapping[str, Preprocess] | None = None,
        batch_size: int = 128,
        augment: dict[str, Augmentation] | None = None,
        val_fraction: float = 0.1,
        loading: Loading = USUAL_LOADING,
        label_separator: str = "",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 2:
            raise ConfigError(f"data.batch_size {batch_size}: needs at least 2 to contrast")
        if not 0 <= val_fraction < 1:
            raise ConfigError(f"data.val_fraction {val_fraction}: must be in [0, 1)")
        self.manifest, self.preprocess = Path(manifest), dict(preprocess or {})
        self.batch_size, self.val_fraction = batch_size, val_fraction
        chained = {field: _chained(each) for field, each in (augment or {}).items()}
        self.augment = nn.ModuleDict(chained)
        self.loading, self.label_separator = loading, label_separator
        self.seed = seed
        self.datasets: dict[str, MediaDataset] = {}
        self.learns = True
        self.learnt: dict[str, Preprocess] = {}
        self.failed: set[str] = set()
        unknown = sorted(set(self.augment) - set(self.preprocess)) if preprocess else []
        if unknown:
            raise ConfigError(f"data.augment.{unknown[0]}: the space has no such field")

    def setup(self, stage: str | None = None) -> None:
        """Read the manifest, learn from it, probe every file, and print the size of each split.

        Raises:
            ManifestError: the source can't be read, or has nothing to train on or to learn from.
        """
        if self.datasets:
            return
        fields = {field: each.modality for field, each in self.preprocess.items()}
        samples = read_samples(self.manifest, fields, self.label_separator)
        for note in samples.notes:
            say(f"{samples.source}: {note}", sys.stderr)
        samples = self._with_splits(samples)
        if self.learns:
            self._learn(samples.split("train"))
        probed = probe_files(samples, self.preprocess)
        report_bad_files(probed, samples.source, self.loading.on_error)
        codes = {
            name: {value: code for code, value in enumerate(_sorted(samples.table[name]))}
            for name in ("label", "group")
        }
        for name in ("train", "val", "test"):
            part = samples.split(name)
            cache = self.loading.cache_mb / (1 if name == "train" else 4)
            self.datasets[name] = MediaDataset(part, self.preprocess, probed, codes, cache)
        for name, dataset in self.datasets.items():
            items = ", ".join(f"{count:,} {field}" for field, count in dataset.counts.items())
            say(f"{name}: {len(dataset):,} samples ({items})", sys.stderr)

    def _learn(self, train: Samples) -> None:
        """Let preprocesses learn from the items of split ``train``, and say what they learnt."""
        for field, preprocess in self.preprocess.items():
            column = train.column(field)
            if column.null_count == len(column):
                if preprocess.is_fitted:
                    continue
                raise ManifestError(
                    f"{train.source}: field {field} has no items in split train, from which its "
                    "preprocess has to learn. Fill its column, or leave it out of the space."
                )
            items = (item for cell in column for item in items_of(cell.as_py()))
            if field not in train.in_cells:
                items = (path_and_region(item)[0] for item in items)
            fitted = preprocess.fitted(items)
            if fitted is not preprocess:
                self.preprocess[field] = self.learnt[field] = fitted
                samples = len(column) - column.null_count
                words = fitted.learnt() or "learnt"
                say(f"{field}: {words} from {samples:,} samples of split train", sys.stderr)

    def adopt(self, preprocess: Mapping[str, Preprocess]) -> None:
        """Take preprocesses of some fields in the place of those that there are."""
        for field, each in preprocess.items():
            if each != self.preprocess.get(field):
                self.preprocess[field] = each
                for dataset in self.datasets.values():
                    dataset.adopt({field: each})

    def check_items(self, fields: Iterable[str]) -> None:
        """Look whether some fields have items to train on.

        Raises:
            ManifestError: one has none.
        """
        counts = self.datasets["train"].counts
        for field in fields:
            if not counts.get(field):
                raise ManifestError(
                    f"{self.manifest}: field {field} has no items in split train that can be "
                    "used. Fill its column, or leave it out of the space and of model.pairs."
                )

    def _with_splits(self, samples: Samples) -> Samples:
        """Name every sample's split; groups, and the regions of one file, are never cut."""
        table = samples.table
        split = pc.fill_null(table["split"], "train")
        names = np.array(split.to_pylist(), dtype=object)
        if "val" not in names and self.val_fraction > 0:
            groups = np.array(samples.things(), dtype=str)
            candidates = np.unique(groups[names == "train"])
            rng = np.random.default_rng([self.seed, 2])
            held = rng.permutation(candidates)[: round(self.val_fraction * len(candidates))]
            names[(names == "train") & np.isin(groups, held)] = "val"
        if "train" not in names:
            raise ManifestError(f"{samples.source}: no sample is in split train")
        at = table.column_names.index("split")
        table = table.set_column(at, "split", pa.array(names, pa.string()))
        return replace(samples, table=table)

    def train_dataloader(self) -> Loader:
        """Return batches of similar length in another order each epoch."""
        dataset = self.datasets["train"]
        sampler = LengthBatchSampler(dataset.lengths().tolist(), self.batch_size, self.seed)
        dataset.draw = (self.seed, sampler.epoch)
        return self._loader(dataset, sampler)

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return the batches of split ``val``."""
        return self._ordered("val")

    def test_dataloader(self) -> Loader | list[Loader]:
        """Return the batches of split ``test``."""
        return self._ordered("test")

    def predict_dataloader(self) -> Loader | list[Loader]:
        """Return the batches of split ``test``."""
        return self._ordered("test")

    def _ordered(self, split: str) -> Loader | list[Loader]:
        dataset = self.datasets[split]
        order = np.argsort(dataset.lengths(), kind="stable").tolist()
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        return self._loader(dataset, batches) if batches else []

    def _loader(self, dataset: MediaDataset, batches: object) -> Loader:
        return DataLoader(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            num_workers=self.loading.num_workers,
            persistent_workers=self.loading.num_workers > 0,
        )

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Name files of a batch that could not be decoded, each once.

        Raises:
            MmembedError: a file could not be decoded, and ``on_error`` is ``raise``.
        """
        for path, reason in batch.failed.items():
            if self.loading.on_error == "raise":
                raise MmembedError(f"{reason}. Remove it, or set data.loading.on_error: skip.")
            if path not in self.failed:
                self.failed.add(path)
                warnings.warn(f"left out from here on: {reason}", stacklevel=2)
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment a training batch; the same step of the same seed gives the same batch."""
        if self.trainer is None or not self.trainer.training:
            return batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.trainer.global_step)
        for field, augment in self.augment.items():
            if field in batch.values:
                batch.values[field], batch.mask[field] = augment(
                    batch.values[field], batch.mask[field], generator
                )
        return batch

    def teardown(self, stage: str | None = None) -> None:
        """Say how many files failed only when they were decoded."""
        if self.failed:
            count = len(self.failed)
            say(f"{count} files could not be decoded and were left out", sys.stderr)


def _chained(augment: Augmentation) -> nn.Module:
    return Chain(augment) if isinstance(augment, list) else augment


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _sorted(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    return sorted(v for v in column.unique().to_pylist() if v is not None)
