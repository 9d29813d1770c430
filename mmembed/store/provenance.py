"""The provenance of a dataset: the space, source, settings and decoding that made its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmembed.errors import StoreError
from mmembed.errors.plain_text import one_line

FORMAT = 1
FIRST_REVISION = 1  # of the decoding of rows that were written before revisions were recorded


@dataclass(frozen=True)
class Provenance:
    """The maker of a dataset; kept in every part's schema metadata and in ``_mmembed.json``.

    Args:
        fingerprint: of the space; rows of different fingerprints are never mixed.
        space: the space's name.
        dim: dimensions of a vector.
        source: the folder that ``path`` is relative to, or the manifest, whose folder it is then.
        settings: other options that change vectors (precision, segments), as plain values.
        format: version of this contract.
        decode_revision: by modality, revision of the code that decoded the rows; None where it
            was not recorded yet, which is revision 1.
        libraries: versions of the libraries that decoded the rows, by name; None if not recorded.
    """

    fingerprint: str
    space: str
    dim: int
    source: str = ""
    settings: Mapping[str, str | int | float | None] | None = None
    format: int = FORMAT
    decode_revision: Mapping[str, int] | None = None
    libraries: Mapping[str, str] | None = None

    def revision_of(self, modality: str) -> int:
        """Return the revision of the code that decoded the rows of a modality."""
        return (self.decode_revision or {}).get(modality, FIRST_REVISION)

    def to_json(self) -> str:
        """Return the provenance as JSON text; what was not recorded is left out."""
        fields = asdict(self)
        for name in ("decode_revision", "libraries"):
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, path: str) -> Provenance:
        """Read the text that :meth:`to_json` wrote; ``path`` is named in errors.

        Raises:
            StoreError: not written by mmembed, or by a version with another format.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            given = fields.get("format")
        except (ValueError, AttributeError, RecursionError):
            raise StoreError(f"{path}: its mmembed metadata can't be read") from None
        if given != FORMAT:
            shown = one_line(repr(given))[:40]
            raise StoreError(f"{path}: store format {shown} is not {FORMAT}; embed it again")
        known = {k: v for k, v in fields.items() if k in cls.__dataclass_fields__}
        made = cls(**{"fingerprint": None, "space": None, "dim": None, **known})
        wrong = next(made._misfits(), None)
        if wrong is not None:
            value = one_line(repr(getattr(made, wrong)))[:40]
            raise StoreError(f"{path}: its mmembed metadata have {value} as {wrong}")
        return made

    def _misfits(self) -> Iterator[str]:
        """Yield the fields that hold another kind of value than they are for."""
        texts = ("fingerprint", "space", "source")
        yield from (name for name in texts if not isinstance(getattr(self, name), str))
        if type(self.dim) is not int or self.dim < 1:
            yield "dim"
        for name, kind in (("settings", object), ("decode_revision", int), ("libraries", str)):
            values = getattr(self, name)
            if values is None:
                continue
            if not isinstance(values, dict) or not all(
                isinstance(value, kind) and not (kind is int and isinstance(value, bool))
                for value in values.values()
            ):
                yield name


def check_same_space(first: Provenance, first_path: str, other: Provenance, path: str) -> None:
    """Refuse to mix vectors of different spaces.

    Raises:
        StoreError: the fingerprints differ.
    """
    if first.fingerprint != other.fingerprint:
        raise StoreError(
            f"{path}: made by space {_named(other)}, but {first_path} by space {_named(first)}; "
            "their vectors can't be mixed"
        )
    if first.dim != other.dim:
        raise StoreError(f"{path}: has vectors of {other.dim}, but {first_path} of {first.dim}")


class DecodeRevisions:
    """The decode revision of each modality over the parts of one dataset, which has to be one."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, str]] = {}

    def check(self, made: Provenance, modalities: list[str], part: str) -> None:
        """Refuse a part with rows that were decoded otherwise than those of parts before it.

        Args:
            made: provenance of the part.
            modalities: those that it has rows of.
            part: its name, for errors.

        Raises:
            StoreError: it has such rows, as while an upgrade is not finished.
        """
        for modality in modalities:
            revision = made.revision_of(modality)
            before, first = self._first.setdefault(modality, (revision, part))
            if revision != before:
                raise StoreError(
                    f"{part}: its {one_line(modality)} rows were decoded by revision {revision}, "
                    f"but those of {first} by {before}, and can't be mixed. Finish the upgrade of "
                    "the dataset: embed its source again.",
                    advice="upgrade",
                )


def _named(provenance: Provenance) -> str:
    return one_line(f"{provenance.space} ({provenance.fingerprint[:8]})")
