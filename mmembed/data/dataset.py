"""Samples to training batches: decoding, a cache of values, and what to do with corrupt files.

It receives preprocesses as callables and knows nothing of encoders or of training loops.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from mmembed.data.batching import Batch, collate
from mmembed.data.manifest import MEDIA, Samples
from mmembed.data.preprocess import Preprocess
from mmembed.errors import ManifestError, MediaError
from mmembed.media.probe import MediaInfo, probe

OnError = Literal["skip", "raise"]
SHOWN = 5


def probe_files(samples: Samples, modalities: Sequence[str]) -> dict[str, MediaInfo | MediaError]:
    """Return, by path, what each file is, or why it can't be read; headers only, in threads."""
    paths = [p for m in modalities for p in samples.paths(m) if p is not None]

    def ask(path: str) -> MediaInfo | MediaError:
        try:
            return probe(path)
        except MediaError as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(paths, pool.map(ask, paths, chunksize=64), strict=True))


def report_bad_files(
    found: Mapping[str, MediaInfo | MediaError], source: str, on_error: OnError
) -> None:
    """Warn once of all files that can't be read, naming the first few; or refuse.

    Raises:
        ManifestError: none of the files can be read, or ``on_error`` is ``raise``.
    """
    bad = [error for error in found.values() if isinstance(error, MediaError)]
    if not bad:
        return
    listed = "\n".join(f"  {error}" for error in bad[:SHOWN])
    more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    text = f"{source}: {len(bad)} of {len(found)} files can't be read"
    if len(bad) == len(found) or on_error == "raise":
        raise ManifestError(f"{text}, the first: {bad[0]}")
    warnings.warn(f"{text}; their samples go without them:\n{listed}{more}", stacklevel=2)


class MediaDataset(Dataset[Batch]):
    """Map-style samples; :meth:`__getitems__` returns a whole :class:`Batch`.

    Args:
        samples: a row a sample.
        preprocess: by modality; cells of other modalities are left out.
        found: what :func:`probe_files` said; files that can't be read are left out.
        codes: by column (``label``, ``group``), the code of each value.
        random_span: take a random segment of long media (training) instead of the first.
        cache_mb: keep the values of whole files in memory, up to this much.
    """

    def __init__(
        self,
        samples: Samples,
        preprocess: Mapping[str, Preprocess],
        found: Mapping[str, MediaInfo | MediaError],
        codes: Mapping[str, Mapping[str, int]],
        random_span: bool = False,
        cache_mb: float = 0,
    ) -> None:
        self.preprocess = dict(preprocess)
        self.random_span = random_span
        self.ids = samples.table["id"].to_pylist()
        self.files: dict[str, list[tuple[str, MediaInfo] | None]] = {}
        for modality in (m for m in MEDIA if m in preprocess):
            cells: list[tuple[str, MediaInfo] | None] = []
            for path in samples.paths(modality):
                info = found.get(path) if path is not None else None
                cells.append((path, info) if path and isinstance(info, MediaInfo) else None)
            self.files[modality] = cells
        self.codes = {
            name: torch.tensor([codes[name].get(v, -1) for v in samples.table[name].to_pylist()])
            for name in ("label", "group")
        }
        self.failed: dict[str, str] = {}
        self._cache: dict[tuple[str, str], np.ndarray] = {}
        self._room = int(cache_mb * 2**20)

    def __len__(self) -> int:
        return len(self.ids)

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
        batch = Batch(label=self.codes["label"][indices], group=self.codes["group"][indices])
        for modality, cells in self.files.items():
            items, rows = [], []
            for row, index in enumerate(indices):
                cell = cells[index]
                values = None if cell is None else self._values(modality, *cell)
                if values is not None:
                    items.append(values)
                    rows.append(row)
            if items:
                pad = self.preprocess[modality].padded_length
                length = None if modality == "image" else max(pad(len(item)) for item in items)
                batch.values[modality], batch.mask[modality] = collate(items, length)
                batch.rows[modality] = torch.tensor(rows)
        return batch

    def _values(self, modality: str, path: str, info: MediaInfo) -> np.ndarray | None:
        if path in self.failed:
            return None
        cached = self._cache.get((modality, path))
        if cached is not None:
            return cached
        preprocess = self.preprocess[modality]
        try:
            spans = preprocess.spans(info)
            chosen = int(torch.randint(len(spans), ())) if self.random_span else 0
            values = preprocess(preprocess.load(path, spans[chosen]))
        except MediaError as error:
            self.failed[path] = str(error)
            warnings.warn(f"left out from here on: {error}", stacklevel=2)
            return None
        if len(spans) == 1 and values.nbytes <= self._room:
            self._room -= values.nbytes
            self._cache[modality, path] = values
        return values
