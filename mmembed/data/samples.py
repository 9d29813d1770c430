"""Samples of a manifest as training batches: probing, decoding and a cache of values.

It receives preprocesses as callables and knows nothing of encoders or of training loops.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import Dataset

from mmembed.data.batch import Batch, collate
from mmembed.data.manifest import Samples
from mmembed.errors import ManifestError, MediaError
from mmembed.errors.plain_text import brief, say
from mmembed.media.file import MediaFile
from mmembed.media.probe import MediaInfo, Source, probe
from mmembed.media.regions import Region, path_and_region
from mmembed.media.spans import AnySpan
from mmembed.modality import Modality, position
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.regions import region_spans
from mmembed.store.label_codes import LabelCodes

OnError = Literal["skip", "raise"]
Probed = Mapping[tuple[Modality, str], MediaInfo | MediaError]
Option = TypeVar("Option")
NAMED_FILES = 5  # of those that can't be read
ANNOUNCED_FILES = 10_000  # probing more takes so long that it is announced
TEXT_DRAW = 1  # the stream of random numbers that chooses a text; segments have another
CACHED_CELL_BYTES = 400  # of a cell's key and array in the cache, beside what they hold


def probe_files(samples: Samples, preprocess: Mapping[str, Preprocess]) -> Probed:
    """Return, by kind and item, what each file is, or why it or the region of it can't be used.

    Only headers are read, once a file, in threads. Cells that hold texts or ids need no probing. A
    row that asks for a region that no file has is an error, and its items are not there.
    """
    rows: dict[tuple[Modality, str], int] = {}  # the first that each item is of
    faults = {row: text for row in range(len(samples)) if (text := samples.regions.fault(row))}
    for field, each in preprocess.items():
        if field not in samples.in_cells:
            for row, item in enumerate(samples.column(field).to_pylist()):
                if item is not None and row not in faults:
                    rows.setdefault((each.modality, item), row)
    paths = dict.fromkeys(path_and_region(item)[0] for _, item in rows)
    if len(paths) > ANNOUNCED_FILES:
        say(f"probing {len(paths):,} files", sys.stderr)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        told = dict(zip(paths, pool.map(_told, paths), strict=True))
    by_kind = {each.modality: each for each in preprocess.values()}

    def checked(kind: Modality, item: str, row: int) -> MediaInfo | MediaError:
        path, region = path_and_region(item)
        info = told[path]
        if isinstance(info, MediaError):
            return info
        sound_track = kind == "audio" and info.modality == "video" and info.has_audio
        if info.modality != kind and not sound_track:
            return MediaError(path, "probe", f"is {info.modality}, but stands for {kind}")
        try:
            if region is not None:
                where = f"{samples.source}, row {row}"
                region_spans(by_kind[kind], info, region, path, where)
        except MediaError as error:
            return error
        return info

    wrong = {("", str(r)): MediaError(samples.source, "probe", t) for r, t in faults.items()}
    return {key: checked(*key, row) for key, row in rows.items()} | wrong


def _told(path: str) -> MediaInfo | MediaError:
    try:
        return probe(path)
    except MediaError as error:
        return error


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
        preprocess: by field; columns of other fields are left out.
        probed: the result of :func:`probe_files`; files that can't be read are left out.
        codes: by column (``label``, ``group``), the code of each value; samples may have several
            labels.
        cache_mb: keep the values of items of one segment in memory, up to this much.

    Attributes:
        items: by field, in the order of :mod:`mmembed.modality`, what each sample has: an Arrow
            array as of :meth:`~mmembed.data.manifest.Samples.column`.
        draw: ``(seed, epoch)`` that one of several texts of a sample, and the segment of long
            media, are drawn from in training, the epoch in shared memory; None takes the first
            always.
    """

    def __init__(
        self,
        samples: Samples,
        preprocess: Mapping[str, Preprocess],
        probed: Probed,
        codes: Mapping[str, Mapping[str, int]],
        cache_mb: float = 0,
    ) -> None:
        fields = sorted(preprocess, key=lambda field: position(preprocess[field].modality))
        self.preprocess = {field: preprocess[field] for field in fields}
        self.draw: tuple[int, torch.Tensor] | None = None
        self._samples, self._source = len(samples), samples.source
        self._in_cells, self._probed = samples.in_cells, probed
        self.items = {field: self._usable(field, samples.column(field)) for field in fields}
        cells = {name: samples.table[name].to_pylist() for name in ("label", "group")}
        self._labels: LabelCodes | None = None
        if pa.types.is_list(samples.table["label"].type):
            self._labels = LabelCodes.of(cells.pop("label"), codes["label"])
        self.codes = {
            name: torch.tensor([codes[name].get(value, -1) for value in values])
            for name, values in cells.items()
        }
        self._failed: dict[tuple[str, str], MediaError] = {}
        self._cache: dict[tuple[str, str], np.ndarray] = {}
        self._room = self._cache_bytes = int(cache_mb * 2**20)

    def _usable(self, field: str, items: pa.Array) -> pa.Array:
        if field in self._in_cells:
            return items
        kind = self.preprocess[field].modality
        paths = items.to_pylist()
        known = [path if self._info(kind, path) is not None else None for path in paths]
        return pa.array(known, pa.large_string())

    def _info(self, kind: Modality, path: str | None) -> MediaInfo | None:
        info = self._probed.get((kind, path)) if path is not None else None
        return info if isinstance(info, MediaInfo) else None

    def adopt(self, preprocess: Mapping[str, Preprocess]) -> None:
        """Take preprocesses of some fields in the place of those that there are."""
        self.preprocess.update(preprocess)
        self._cache, self._failed, self._room = {}, {}, self._cache_bytes

    def __len__(self) -> int:
        return self._samples

    @property
    def counts(self) -> dict[str, int]:
        """Number of items by field."""
        return {
            field: len(items) - items.null_count
            if pa.types.is_large_string(items.type)
            else pc.sum(pc.list_value_length(items)).as_py() or 0
            for field, items in self.items.items()
        }

    def lengths(self) -> np.ndarray:
        """Return a number a sample, ``(samples,)``, that sorts samples of like lengths together.

        It is the padded length of the field that is longest in all (sound before text), and
        behind the point that of the next. A field whose preprocess tells no lengths takes no
        part, and a sample that lacks a field has length 0 there.
        """
        told = [f for f in self.items if type(self.preprocess[f]).length is not Preprocess.length]
        numbers = np.zeros(len(self))
        for lengths in sorted((self._padded_lengths(field) for field in told), key=np.sum):
            numbers = lengths + numbers / (numbers.max(initial=0) + 1)
        return numbers

    def _padded_lengths(self, field: str) -> np.ndarray:
        items = self.items[field]
        if not pa.types.is_large_string(items.type):
            items = pc.list_element(items, 0)
        coded = items.dictionary_encode()
        pad, different = self.preprocess[field].padded_length, coded.dictionary.to_pylist()
        lengths = np.array([*(pad(self._length(field, item)) for item in different), 0])
        return lengths[coded.indices.fill_null(len(different)).to_numpy()]

    def _length(self, field: str, item: str) -> int:
        preprocess = self.preprocess[field]
        if field in self._in_cells:
            return preprocess.length(MediaInfo(preprocess.modality, "cell", text=item), None)
        info = self._info(preprocess.modality, item)
        if info is None:
            return 0
        return preprocess.length(info, self._spans(preprocess, info, *path_and_region(item))[0])

    def _spans(
        self, preprocess: Preprocess, info: MediaInfo, path: str, region: Region | None
    ) -> Sequence[AnySpan | None]:
        if region is None:
            return preprocess.spans(info)
        return region_spans(preprocess, info, region, path, self._source)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the samples ``indices`` as one batch, padded to its longest item's bucket."""
        index = torch.tensor(indices, dtype=torch.long)
        batch = Batch(label=self._label(index), group=self.codes["group"][index], index=index)
        chosen = pa.array(indices, pa.int64())
        for field, items in self.items.items():
            values, rows = [], []
            for row, cell in enumerate(items.take(chosen).to_pylist()):
                if cell is None:
                    continue
                sample = indices[row]
                item = cell if isinstance(cell, str) else self._drawn(cell, sample, TEXT_DRAW)
                try:
                    values.append(self._values(field, item, sample))
                    rows.append(row)
                except MediaError as error:
                    self._failed[field, item] = error
                    batch.failed[error.path] = str(error)
            if values:
                preprocess = self.preprocess[field]
                lengths = {len(each) for each in values} if preprocess.varies else ()
                length = max(map(preprocess.padded_length, lengths), default=None)
                batch.values[field], batch.mask[field] = collate(values, length)
                batch.rows[field] = torch.tensor(rows)
        return batch

    def _label(self, index: torch.Tensor) -> torch.Tensor:
        if self._labels is None:
            return self.codes["label"][index]
        return torch.from_numpy(self._labels.select(index.numpy()).padded())

    def _drawn(self, options: Sequence[Option], sample: int, *stream: int) -> Option:
        """Return one of several, in training another each epoch; the first in evaluation."""
        if self.draw is None or len(options) == 1:
            return options[0]
        rng = np.random.default_rng([self.draw[0], int(self.draw[1]), sample, *stream])
        return options[int(rng.integers(len(options)))]

    def _values(self, field: str, item: str, sample: int) -> np.ndarray:
        cached = self._cache.get((field, item))
        if cached is not None:
            return cached
        if (field, item) in self._failed:
            raise self._failed[field, item]
        preprocess = self.preprocess[field]
        kind = preprocess.modality
        source: Source
        if field in self._in_cells:
            source = MediaFile.of_cell(f"{self._source}: {field} {brief(item)}", kind, item)
            info, region = source.info, None
        else:
            info = self._info(kind, item)
            source, region = path_and_region(item)
        assert info is not None
        spans = self._spans(preprocess, info, str(source), region)
        values = preprocess(preprocess.load(source, self._drawn(spans, sample)))
        held = values.nbytes + (CACHED_CELL_BYTES + len(item)) * (field in self._in_cells)
        if len(spans) == 1 and held <= self._room:
            self._room -= held
            self._cache[field, item] = values
        return values
