"""Spoken digits for avdigits: synthesised by eSpeak NG, or read from a folder of recordings.

Knows voices, words and waveforms; knows nothing of images, rows or splits' other parts.
eSpeak NG keeps its state in global variables: one process, one :class:`Synthesizer`.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
import soundfile

from mmembed.errors import ManifestError, MediaError

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ACCENTS = (
    "en-us",
    "en",
    "en-us-nyc",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
# Variants that a listener does not take for a speaking person.
NOT_A_VOICE = re.compile(r"whisper|croak|robo|demonic", re.IGNORECASE)
ENDINGS = ("", "", ",", "?", "!")  # punctuation changes the melody of a single word
RECORDING = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)\.wav", re.IGNORECASE)

AUDIO_OUTPUT_SYNCHRONOUS = 2
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4  # espeak_PARAMETER
CHARS_UTF8 = 1


@dataclass(frozen=True)
class Utterance:
    """One spoken digit.

    Args:
        digit: 0 to 9.
        voice: who speaks; no voice is in two splits.
        samples: int16 ``(samples,)``.
        sample_rate: in Hz.
    """

    digit: int
    voice: str
    samples: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class Recording:
    """One file of a folder of recordings, named ``{digit}_{speaker}_{take}.wav``."""

    path: Path
    digit: int
    speaker: str
    take: int


class Synthesizer:
    """eSpeak NG, driven through its C interface; the same seed speaks the same samples."""

    def __init__(self, seed: int) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        self.sample_rate: int = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), 0
        )
        if self.sample_rate <= 0:
            raise MediaError(data, "decode", "eSpeak NG can't start with this data folder.")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            *(ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        self._pieces: list[bytes] = []
        callback_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = callback_type(self._receive)  # must outlive the library's use of it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _: int) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, text: str, voice: str, rate: int, pitch: int, melody: int) -> np.ndarray:
        """Return int16 ``(samples,)`` of ``text`` at ``rate`` words a minute.

        Args:
            text: what to say.
            voice: ``accent+variant``, such as ``en-us+f3``.
            rate: words a minute, 80 to 450.
            pitch: 0 to 99.
            melody: how far the pitch moves, 0 (monotone) to 99.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise MediaError(voice, "decode", "no such voice; use accent+variant, as en-us+f3.")
        for parameter, value in ((RATE, rate), (VOLUME, 90), (PITCH, pitch), (RANGE, melody)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, CHARS_UTF8, None, None)
        return np.frombuffer(b"".join(self._pieces), dtype=np.int16)

    def say_digit(self, digit: int, variants: list[str], rng: np.random.Generator) -> Utterance:
        """Return ``digit`` spoken by one of ``variants`` in a random accent, rate and pitch."""
        for _ in range(20):
            variant = variants[int(rng.integers(len(variants)))]
            samples = self.speak(
                WORDS[digit] + ENDINGS[int(rng.integers(len(ENDINGS)))],
                f"{ACCENTS[int(rng.integers(len(ACCENTS)))]}+{variant}",
                rate=int(rng.integers(100, 261)),
                pitch=int(rng.integers(5, 96)),
                melody=int(rng.integers(10, 96)),
            )
            if samples.size and np.abs(samples.astype(np.int32)).max() > 1000:
                return Utterance(digit, variant, samples, self.sample_rate)
        raise MediaError(str(variants), "decode", "these eSpeak NG voices stay silent.")


def voice_families() -> list[list[str]]:
    """Return eSpeak's voice variants, those that differ by a number only (klatt, klatt2) as one."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    families: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        if NOT_A_VOICE.search(name):
            continue
        stem = name.rstrip("0123456789").lower()
        families.setdefault(stem if len(stem) > 1 else name, []).append(name)
    return list(families.values())


def list_recordings(folder: Path) -> list[Recording]:
    """Return the recordings of ``folder``, ordered by name.

    Raises:
        ManifestError: no file is named ``{digit}_{speaker}_{take}.wav``.
    """
    recordings = []
    for path in sorted(folder.glob("*")):
        if match := RECORDING.fullmatch(path.name):
            digit, speaker, take = match["digit"], match["speaker"], match["take"]
            recordings.append(Recording(path, int(digit), speaker, int(take)))
    if not recordings:
        raise ManifestError(
            f"--speech {folder}: no recording here. Name them {{digit}}_{{speaker}}_{{take}}.wav."
        )
    return recordings


def read_recording(recording: Recording) -> Utterance:
    """Return the recording's samples, its channels mixed down."""
    samples, sample_rate = soundfile.read(recording.path, dtype="int16", always_2d=True)
    mono = samples.mean(axis=1).round().astype(np.int16)
    return Utterance(recording.digit, recording.speaker, mono, sample_rate)
