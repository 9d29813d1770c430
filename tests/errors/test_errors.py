"""Errors are data: a sentence without options, the option that it is about, and those that help."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed import errors
from mmembed.errors import (
    ConfigError,
    ManifestError,
    MediaError,
    MissingExtraError,
    MmembedError,
    SpaceError,
    StoreError,
    Terminated,
    TruncatedError,
    UnreachableError,
    VerdictError,
)

EVERY = [
    MmembedError("is wrong"),
    ConfigError("must be positive", "part_rows", 0),
    ConfigError("is for folders", "with_sound"),
    ConfigError("two workers ended", "engine", "ray", advice="actors workers"),
    ManifestError("a.csv: no such file"),
    SpaceError("space.json: lacks a name", advice="trust=towers"),
    StoreError("out: another run is writing to it", advice="shard"),
    UnreachableError("s3://bucket: nobody answers"),
    MissingExtraError("the engine ray", "ray"),
    MediaError("a.png", "probe", "is large. Scale it down.", "pillow", "max_pixels"),
    TruncatedError("a.wav", "stops after 1 s. Re-encode it.", "libsndfile", 1.5),
    VerdictError("3 files have an error", "10 files", "strict"),
]
NAMES = st.text("abcdefghij_", min_size=1, max_size=12)


def kinds(base: type[MmembedError]) -> set[type[MmembedError]]:
    return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))


def test_every_kind_of_error_is_among_those_tried_here() -> None:
    ours = {kind for kind in kinds(MmembedError) if kind.__module__ == errors.__name__}
    assert {type(error) for error in EVERY} == ours
    assert {type(error).__name__ for error in EVERY} <= set(re.findall(r"\w+Error", _document()))


def _document() -> str:
    return errors.__doc__ or ""


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_comes_out_of_another_process_as_it_went_in(error: MmembedError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
        assert other.args == error.args


def test_python_shows_the_option_as_python_writes_it() -> None:
    assert str(ConfigError("must be positive", "part_rows", 0)) == "part_rows=0: must be positive"
    assert str(ConfigError("is for folders", "with_sound")) == "with_sound: is for folders"
    assert str(ConfigError("unknown option workesr")) == "unknown option workesr"
    assert str(VerdictError("3 files have an error", "", "strict")) == (
        "strict: 3 files have an error"
    )


@given(NAMES, st.none() | st.integers() | st.text(max_size=20), st.text(max_size=40), NAMES)
def test_the_parts_of_an_error_are_kept_apart(
    option: str, value: object, message: str, advice: str
) -> None:
    error = ConfigError(message, option, value, advice)
    given_value = "" if value is None else f"={error.value}"
    assert str(error) == f"{option}{given_value}: {error.sentence}"
    assert (error.option, error.advice) == (option, advice)
    assert error.sentence == MmembedError(message).sentence == str(MmembedError(message))
    assert len(str(error).splitlines()) <= 1


def test_advice_is_not_in_the_text_that_python_and_tables_show() -> None:
    error = MediaError("a.png", "probe", "is large. Raise the limit.", advice="max_pixels")
    assert str(error) == "a.png: is large. Raise the limit."
    assert (error.message, error.advice) == ("is large. Raise the limit.", "max_pixels")


def test_the_decoder_stands_behind_what_was_wrong() -> None:
    error = MediaError("a.wav", "decode", "is corrupt. Re-encode it.", "libsndfile")
    assert str(error) == "a.wav: is corrupt (decoder: libsndfile). Re-encode it."
    assert str(MediaError("a.wav", "decode", "is empty")) == "a.wav: is empty"


def test_a_file_that_stops_early_may_be_allowed() -> None:
    error = TruncatedError("a.wav", "stops after 1 s", "libsndfile", 1.0)
    assert (error.stage, error.advice, error.end_seconds) == ("decode", "allow_truncated", 1.0)


def test_a_value_holds_no_secret_and_no_control_characters() -> None:
    error = ConfigError("no such\nfolder", "media", "s3://KEY:hunter2@bucket/a\x1b[2J")
    assert str(error) == r"media=s3://bucket/a\x1b[2J: no such\nfolder"
    assert "hunter2" not in f"{error!r}{vars(error)}"


def test_exit_codes_tell_mistakes_from_verdicts_and_stops() -> None:
    for error in EVERY:
        assert error.exit_code == (1 if isinstance(error, VerdictError) else 2)
    assert Terminated().exit_code == 143
    assert not isinstance(Terminated(), Exception), "nobody catches it with `except Exception`"


def test_an_unreachable_server_is_an_error_of_the_system_too() -> None:
    with pytest.raises(OSError, match="nobody answers"):
        raise UnreachableError("s3://bucket: nobody answers")


def test_a_missing_extra_says_how_to_get_it() -> None:
    said = str(MissingExtraError("MtebEncoder", "mteb"))
    assert said == "MtebEncoder needs an extra: pip install 'mmembed[mteb]'"
