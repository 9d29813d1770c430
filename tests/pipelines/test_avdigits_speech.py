"""Voices of avdigits: those that speak, and who sounds like whom."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "pipelines"))
pytest.importorskip("espeakng_loader")

import avdigits_rows as planning
import avdigits_speech as speech

from mmembed.errors import MediaError


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(MediaError, match=r"no such voice; use accent\+variant"):
        speech.Synthesizer(0).speak("one", "nowhere+f3", 150, 50, 50)


def test_voices_that_stay_silent_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    synthesizer = speech.Synthesizer(0)
    monkeypatch.setattr(speech, "WORDS", [""] * 10)
    monkeypatch.setattr(speech, "ENDINGS", ("",))
    with pytest.raises(MediaError, match="these eSpeak NG voices stay silent"):
        synthesizer.say_digit(3, ["f3"], np.random.default_rng(0))


def test_faster_speech_is_shorter() -> None:
    synthesizer = speech.Synthesizer(0)
    slow, fast = (synthesizer.speak("seven", "en-us+m1", rate, 50, 50) for rate in (100, 260))
    assert len(fast) < 0.7 * len(slow)


def test_voices_of_one_family_stay_together() -> None:
    families = speech.voice_families()
    shares = planning.share_voices(families, 0)
    for family in families:
        assert sum(bool(set(family) & set(voices)) for voices in shares.values()) == 1
    assert sum(map(len, shares.values())) == sum(map(len, families)) > 80
