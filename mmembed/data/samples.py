"""Samples of a manifest as training batches: probing, decoding and a cache of values.

It receives preprocesses as callables and knows nothing of encoders or of training loops.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from mmembed.data.batch import Batch, collate
from mmembed.data.manifest import Samples
from mmembed.errors import ManifestError, MediaError
from mmembed.errors.plain_text import say
from mmembed.media.probe import MediaInfo, probe
from mmembed.preprocess.base import Preprocess
from mmembed.store.manifest import MEDIA

OnError = Literal["skip", "raise"]
Probed = Mapping[tuple[str, str], MediaInfo | MediaError]
NAMED_FILES = 5  # of those that can't be read
ANNOUNCED_FILES = 10_000  # probing more takes so long that it is announced


def probe_files(samples: Samples, preprocess: Mapping[str, Preprocess]) -> Probed:
    """Return, by modality and path, the kind of each file, or why it can't be used.

    Only headers are read, in threads.
    """
    cells = [(m, p) for m in MEDIA if m in preprocess for p in samples.paths(m) if p is not None]
    cells = list(dict.fromkeys(cells))
    if len(cells) > ANNOUNCED_FILES:
        say(f"probing {len(cells):,} files", sys.stderr)

    def ask(cell: tuple[str, str]) -> MediaInfo | MediaError:
        modality, path = cell
        try:
            info = probe(path)
        except MediaError as error:
            return error
        sound_track = modality == "audio" and info.modality == "video" and info.has_audio
        if info.modality != modality and not sound_track:
            return MediaError(path, "probe", f"is {info.modality}, but stands for {modality}")
        return info

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(cells, pool.map(ask, cells), strict=True))


def report_bad_files(probed: Probed, source: str, on_error: OnError) -> None:
    """Warn once of all files that can't be read, naming the first few; or refuse.

    Raises:
        ManifestError: none of the files can be read, or ``on_error`` is ``raise``.
    """
    bad = [error for error in probed.values() if isinstance(error, MediaError)]
    if not bad:
        return
    listed = "\n".join(f"  {error}" for error in bad[:NAMED_FILES])
    more = f"\n  and {len(bad) - NAMED_FILES} more" if len(bad) > NAMED_FILES else ""
    text = f"{source}: {len(bad)} of {len(probed)} files can't be read"
    if len(bad) == len(probed) or on_error == "raise":
        raise ManifestError(f"{text}, the first: {bad[0]}")
    warnings.warn(f"{text}; their samples go without them:\n{listed}{more}", stacklevel=3)


class MediaDataset(Dataset[Batch]):
    """Map-style samples; :meth:`__getitems__` returns a whole :class:`Batch`.

    Args:
        samples: a row a sample.
        preprocess: by modality; cells of other modalities are left out.
        probed: the result of :func:`probe_files`; files that can't be read are left out.
        codes: by column (``label``, ``group``), the code of each value.
        cache_mb: keep the values of files of one segment in memory, up to this much.

    Attributes:
        draw: ``(seed, epoch)`` that the segment of long media is drawn from in training, the
            epoch in shared memory; None takes the first segment always.
    """

    def __init__(
        self,
        samples: Samples,
        preprocess: Mapping[str, Preprocess],
        probed: Probed,
        codes: Mapping[str, Mapping[str, int]],
        cache_mb: float = 0,
    ) -> None:
        self.preprocess = dict(preprocess)
        self.draw: tuple[int, torch.Tensor] | None = None
        self._samples = len(samples)
        self.files: dict[str, list[tuple[str, MediaInfo] | None]] = {}
        for modality in (m for m in MEDIA if m in preprocess):
            cells: list[tuple[str, MediaInfo] | None] = []
            for path in samples.paths(modality):
                info = probed.get((modality, path)) if path is not None else None
                cells.append((path, info) if path and isinstance(info, MediaInfo) else None)
            self.files[modality] = cells
        self.codes = {
            name: torch.tensor([codes[name].get(v, -1) for v in samples.table[name].to_pylist()])
            for name in ("label", "group")
        }
        self._failed: dict[str, MediaError] = {}
        self._cache: dict[tuple[str, str], np.ndarray] = {}
        self._room = int(cache_mb * 2**20)

    def __len__(self) -> int:
        return self._samples

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by modality."""
        return {m: sum(cell is not None for cell in cells) for m, cells in self.files.items()}

    def lengths(self) -> list[int]:
        """Return, a sample, the padded length of its sound (0 if it has none), for bucketing."""
        sound = self.preprocess.get("audio")
        if sound is None:
            return [0] * len(self)
        lengths = []
        for cell in self.files["audio"]:
            span = sound.spans(cell[1])[0] if cell else None
            seconds = span.end_seconds - span.start_seconds if span else 0.0
            rate = getattr(sound, "sample_rate", 1)
            lengths.append(sound.padded_length(round(seconds * rate)) if cell else 0)
        return lengths

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the samples ``indices`` as one batch, padded to its longest item's bucket."""
        index = torch.tensor(indices, dtype=torch.long)
        batch = Batch(
            label=self.codes["label"][index], group=self.codes["group"][index], index=index
        )
        for modality, cells in self.files.items():
            items, rows = [], []
            for row, sample in enumerate(indices):
                cell = cells[sample]
                if cell is None:
                    continue
                try:
                    items.append(self._values(modality, sample, *cell))
                    rows.append(row)
                except MediaError as error:
                    self._failed[cell[0]] = error
                    batch.failed[cell[0]] = str(error)
            if items:
                pad = self.preprocess[modality].padded_length
                length = None if modality == "image" else max(pad(len(item)) for item in items)
                batch.values[modality], batch.mask[modality] = collate(items, length)
                batch.rows[modality] = torch.tensor(rows)
        return batch

    def _values(self, modality: str, sample: int, path: str, info: MediaInfo) -> np.ndarray:
        cached = self._cache.get((modality, path))
        if cached is not None:
            return cached
        if path in self._failed:
            raise self._failed[path]
        preprocess = self.preprocess[modality]
        spans = preprocess.spans(info)
        chosen = 0
        if self.draw is not None and len(spans) > 1:
            rng = np.random.default_rng([self.draw[0], int(self.draw[1]), sample])
            chosen = int(rng.integers(len(spans)))
        values = preprocess(preprocess.load(path, spans[chosen]))
        if len(spans) == 1 and values.nbytes <= self._room:
            self._room -= values.nbytes
            self._cache[modality, path] = values
        return values
