"""The one table of modalities: the names of each, where its items lie, and how a report shows it.

A modality of a package of yours is a :class:`Kind` that :func:`register` adds when the module of
its preprocess is imported. File names are a hint for listing folders only; what a file *is* comes
from its content (:mod:`mmembed.media.probe`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Modality = str
Display = Literal["picture", "waveform", "frames", "words", "path"]


@dataclass(frozen=True)
class Kind:
    """A modality.

    Args:
        name: as in columns, fields and reports.
        suffixes: of its files, in lower case (``".jpg"``); empty if it has none.
        magic: first bytes of its files, where no decoder of mmembed knows them; empty to go by
            the file's suffix.
        in_cells: whether a cell of a manifest holds the item itself, and no path.
        display: how a report shows an item: a picture, the waveform of a sound, frames of a
            video, its words, or its path alone.
    """

    name: Modality
    suffixes: frozenset[str] = frozenset()
    magic: bytes = b""
    in_cells: bool = False
    display: Display = "path"


IMAGES = (
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .avif .heic .heif .hif .jp2 .j2k .jpf "
    ".ppm .pgm .pbm .pnm .ico .psd .dds"
)
SOUNDS = (
    ".wav .wave .bwf .rf64 .w64 .flac .ogg .oga .spx .opus .mp3 .mp2 .mpga .m4a .m4b .aac .loas "
    ".aif .aiff .aifc .au .snd .caf .voc .sph .wma .mka .amr .awb .ac3 .eac3 .ec3 .dts .wv .ape "
    ".tta .tak .mpc .shn .dsf .dff .ra"
)
VIDEOS = (
    ".mp4 .m4v .webm .mkv .avi .divx .mov .qt .mpg .mpeg .mpe .m1v .m2v .vob .ts .mts .m2ts .m2t "
    ".3gp .3g2 .flv .f4v .wmv .asf .ogv .rm .rmvb .mxf .y4m .h264 .264 .h265 .265 .hevc .ivf .dv "
    ".mj2 .nut"
)

_KINDS = {
    kind.name: kind
    for kind in (
        Kind("image", frozenset(IMAGES.split()), display="picture"),
        Kind("audio", frozenset(SOUNDS.split()), display="waveform"),
        Kind("video", frozenset(VIDEOS.split()), display="frames"),
        Kind("text", frozenset({".txt"}), in_cells=True, display="words"),
        Kind("category", in_cells=True, display="words"),
    )
}
_OWN = frozenset(_KINDS)


def kinds() -> dict[Modality, Kind]:
    """Return every modality by name, mmembed's own first, in the order of reports."""
    return dict(_KINDS)


def kind_named(name: Modality) -> Kind:
    """Return the modality of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _KINDS:
        raise ValueError(f"{name} is no modality; there are {', '.join(_KINDS)}")
    return _KINDS[name]


def any_in_cells(names: Iterable[Modality]) -> bool:
    """Return whether items of one of some modalities lie in the cells of a manifest."""
    return any(kind_named(name).in_cells for name in names)


def register(kind: Kind) -> None:
    """Add a modality of another package; to add the same again changes nothing.

    Raises:
        ValueError: another one has its name, or one of its suffixes.
    """
    if _KINDS.get(kind.name, kind) != kind:
        raise ValueError(f"modality {kind.name}: another one of that name is there already")
    for other in _KINDS.values():
        shared = kind.suffixes & other.suffixes
        if other != kind and shared:
            raise ValueError(f"modality {kind.name}: files {min(shared)} are {other.name} already")
    _KINDS[kind.name] = kind


def extra_kinds() -> list[Kind]:
    """Return the modalities that other packages added."""
    return [kind for name, kind in _KINDS.items() if name not in _OWN]


def position(name: Modality) -> tuple[int, str]:
    """Return what sorts modalities: the order of the table, unknown ones last and by name."""
    return (list(_KINDS).index(name) if name in _KINDS else len(_KINDS), name)


def modality_of_suffix(suffix: str) -> Modality | None:
    """Return the modality that files ending in ``suffix`` (``".jpg"``) usually have, if any."""
    suffix = suffix.lower()
    return next((kind.name for kind in _KINDS.values() if suffix in kind.suffixes), None)
