"""A dataset belongs to one space, one source, one way of cutting, and one run at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mmembed.embedding.narrowing import Shard
from mmembed.errors import StoreError
from mmembed.storage import Place
from mmembed.store.dataset_files import CARD, part_files
from mmembed.store.lock import locked
from mmembed.store.schema import Provenance
from mmembed.store.writer import read_card_text, write_card


def check_bound(out: Place, provenance: Provenance) -> bool:
    """Return whether the dataset was made as ``provenance`` says; False if nothing is there yet.

    Raises:
        StoreError: ``out`` is no dataset, or another space, source or setting made it.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, but the dataset is a folder")
    text = read_card_text(out)
    if text is None or not part_files(out):
        if text is None and out.is_dir() and any(not p.name.startswith(".") for p in out.iterdir()):
            raise StoreError(
                f"{out}: has files but no {CARD}, so it is no dataset. Name another folder."
            )
        return False
    made = Provenance.from_json(text, str(out / CARD))
    if made.fingerprint != provenance.fingerprint:
        raise StoreError(
            f"{out}: made by space {made.space} ({made.fingerprint[:8]}), not by "
            f"{provenance.space} ({provenance.fingerprint[:8]}). Name another folder, or remove "
            "this one."
        )
    if made.source != provenance.source:
        raise StoreError(
            f"{out}: holds the vectors of {made.source}, not of {provenance.source}. "
            "Name another folder."
        )
    before, now = dict(made.settings or {}), dict(provenance.settings or {})
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise StoreError(
                f"{out}: made {_said(name, before)}, not {_said(name, now)}. "
                "Give the same, or name another folder."
            )
    return True


@contextmanager
def writing(out: Place, provenance: Provenance, shard: Shard | None = None) -> Iterator[None]:
    """Bind a dataset to what makes it, and keep other runs out of it meanwhile.

    Shards of one source may write to one dataset at the same time, each once. The lock ends with
    the process, however that ends.

    Raises:
        StoreError: another run is writing to it, or something else made it.
    """
    if isinstance(out, Path):
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{out}: can't be made: {error.strerror}") from None
    with locked(out, "" if shard is None else f"{shard.index}-of-{shard.count}"):
        if not check_bound(out, provenance):
            write_card(out, provenance.to_json())
        yield


def _said(name: str, settings: Mapping[str, object]) -> str:
    value = settings.get(name)
    return f"without {name}" if value is None else f"with {name} {value}"
