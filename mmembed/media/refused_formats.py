"""Formats that can't be decoded, each by its right name and with the way out."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmembed.media.container_headers import ReadAt

HEAD_BYTES = 2048  # the marks of module music come last, at 1080
UNKNOWN = "is of no known format. Convert it to a common one, or leave it out."


class Refused(NamedTuple):
    """A format that is not read.

    Attributes:
        name: with its article, as a sentence goes on with it.
        way_out: of it.
        pattern: that its first bytes match.
    """

    name: str
    way_out: str
    pattern: bytes


REFUSED = (
    Refused(
        "a MIDI file, which holds notes and no sound",
        "Render it to WAV first.",
        rb"MThd|RIFF....RMID",
    ),
    Refused(
        "module music, which holds notes and samples",
        "Render it to WAV first.",
        rb"Extended Module: |IMPM|MO3[\0-\x05]|.{44}SCRM|.{1080}(M\.K\.|M!K!|FLT[48]|\dCHN|\d\dCH)",
    ),
    Refused(
        "a playlist, which names media and holds none",
        "Embed the files that it names.",
        rb"(\xef\xbb\xbf)?\s*(#EXTM3U|\[playlist\]|\[Reference\]|<asx|<\?wpl|ffconcat version"
        rb"|(<\?xml[^>]*>\s*)?<(MPD|SmoothStreamingMedia|playlist|smil)\b)",
    ),
    Refused(
        "a segment of a stream without its beginning",
        "Join it to the stream's first segment.",
        rb"....(styp|moof|sidx)|\x1f\x43\xb6\x75",
    ),
    Refused(
        "a book of Audible, which is encrypted",
        "Convert it with its owner's key.",
        rb"....(ftypaax|\x57\x90\x75\x36)",
    ),
    Refused(
        "a Flash film (SWF), which is a program",
        "Record it as a video.",
        rb"[FCZ]WS[\x01-\x40]...[\0-\x0f]",
    ),
    Refused("a track of a CD by its number alone", "Rip the CD.", rb"RIFF....CDDA"),
    Refused("OptimFROG", "Convert it to FLAC.", rb"OFR "),
    Refused("JPEG XL", "Convert it to PNG or JPEG.", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    Refused(
        "a frame of film (DPX, Cineon or OpenEXR)",
        "Convert it to PNG.",
        rb"SDPX|XPDS|\x80\x2a\x5f\xd7|\x76\x2f\x31\x01",
    ),
    Refused(
        "a camera's raw data",
        "Develop it to JPEG or TIFF first.",
        rb"....ftypcrx |FUJIFILMCCD-RAW|FOVb|\0MRM|II\x1a\0\0\0HEAPCCDR|II[UR]\0|IIR[OS]|MMOR",
    ),
    Refused("an SVG drawing", "Render it to PNG.", rb"\s*(<\?xml.{0,1000}?)?<svg\b"),
    Refused("a PDF document", "Export its pictures.", rb"%PDF-"),
    Refused(
        "a web page",
        "Download the file itself.",
        rb"(\xef\xbb\xbf)?\s*(<!--.{0,500}?-->\s*)?<(!doctype )?html\b",
    ),
    Refused(
        "a pointer of Git LFS without its file",
        "Run git lfs pull.",
        rb"version https://git-lfs",
    ),
    Refused(
        "an archive",
        "Unpack it.",
        rb"PK(\x03\x04|\x05\x06)|\x1f\x8b\x08|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ\0|BZh[1-9]1AY"
        rb"|\x28\xb5\x2f\xfd|.{257}ustar",
    ),
)
FLAGS = re.DOTALL | re.IGNORECASE


def is_refused(head: bytes) -> bool:
    """Return whether a file that begins so is of a format that is refused by name."""
    return _refused(head) is not None


def refusal(read_at: ReadAt) -> str:
    """Return the sentence for a file that no reader knows: its format, and the way out."""
    known = _refused(read_at(0, HEAD_BYTES))
    return UNKNOWN if known is None else f"is {known.name}. {known.way_out}"


def _refused(head: bytes) -> Refused | None:
    return next((each for each in REFUSED if re.match(each.pattern, head, FLAGS)), None)
