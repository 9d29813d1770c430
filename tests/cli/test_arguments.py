"""Functions become command lines, and their mistakes one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from mmembed.cli.arguments import call, underscored
from mmembed.errors import ConfigError, SpaceError


def job(
    source: Path, out: Path, batch_size: int = 8, weights: Literal["last", "best"] = "last"
) -> tuple:
    """Do a thing.

    Args:
        source: where from.
        out: where to.
        batch_size: how many at a time.
        weights: which ones.
    """
    return str(source), str(out), batch_size, weights


def ask(*words: str) -> tuple:
    return call(job, ["job", *words], ("source", "out"))


def test_a_signature_is_a_command_line() -> None:
    assert ask("a", "b") == ("a", "b", 8, "last")
    assert ask("a", "b", "--batch_size", "3", "--weights=best") == ("a", "b", 3, "best")


def test_hyphens_and_underscores_are_one() -> None:
    assert ask("a-b", "b", "--batch-size=3") == ("a-b", "b", 3, "last")
    assert ask("a", "b-c", "--batch-size", "3", "--weights", "best") == ("a", "b-c", 3, "best")


def test_a_positional_with_a_default_may_be_left_out() -> None:
    def at(place: Path = Path("here"), config: Path = Path("a.yaml")) -> tuple:
        return str(place), str(config)

    assert call(at, ["at"], ("place",)) == ("here", "a.yaml")
    assert call(at, ["at", "there", "--config", "b.yaml"], ("place",)) == ("there", "b.yaml")


def test_what_is_true_or_false_is_switched_on_by_its_name() -> None:
    def run(source: Path, dry_run: bool = False, strict: bool = True) -> tuple:
        return str(source), dry_run, strict

    def given(*words: str) -> tuple:
        return call(run, ["run", *words], ("source",))

    assert given("a") == ("a", False, True)
    assert given("--dry-run", "a") == given("a", "--dry-run") == ("a", True, True)
    assert given("a", "--dry_run=true", "--strict", "false") == ("a", True, False)


@dataclass
class Limits:
    """Limits of the example.

    Args:
        timeout: how long.
        strict: whether to fail.
    """

    timeout: int = 60
    strict: bool = False


def test_the_fields_of_a_dataclass_are_options(capsys: pytest.CaptureFixture) -> None:
    def run(source: Path, limits: Limits, *, weight: int = 1) -> tuple:
        return str(source), limits, weight

    def given(*words: str) -> tuple:
        return call(run, ["run", *words], ("source",))

    assert given("a") == ("a", Limits(), 1)
    assert given("a", "--timeout", "5", "--strict", "--weight=2") == ("a", Limits(5, True), 2)
    with pytest.raises(ConfigError, match="did you mean --timeout"):
        given("a", "--timeotu", "5")
    with pytest.raises(SystemExit):
        given("--help")
    assert "how long" in capsys.readouterr().out


def test_help_is_the_docstring(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        ask("--help")
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "Do a thing." in said
    assert "how many at a time" in said
    assert "where from" in said
    assert "--batch-size BATCH_SIZE" in said
    assert "--batch_size" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "--batchsize", "3"], "config key --batchsize; did you mean --batch-size?"),
        (["a", "b", "--zzz", "3"], "unknown option or config key --zzz$"),
        (["a", "b", "--batch_size", "x"], "^--batch-size: expected int, got x"),
        (["a", "b", "--weights", "bset"], "--weights: expected .*'?last.*, got bset"),
        (["a", "b", "--batch-sise", "3"], "did you mean --batch-size?"),
        (["a"], "missing: out. Give it as an option"),
    ],
)
def test_mistakes_name_the_option_and_a_way_out(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ask(*words)
    assert "\n" not in str(caught.value)


def test_a_missing_option_is_named_as_it_is_typed() -> None:
    def needs(out: Path, *, space_folder: Path) -> None:
        """Need a space."""

    with pytest.raises(ConfigError, match="missing: --space-folder. Give it as an option"):
        call(needs, ["needs", "x"], ("out",))


@pytest.mark.parametrize(
    ("word", "underscored_word"),
    [
        ("--batch-size", "--batch_size"),
        ("--batch-size=a-b", "--batch_size=a-b"),
        ("--batch_size", "--batch_size"),
        ("--model.pairs.image-audio=1", "--model.pairs.image-audio=1"),
        ("--", "--"),
        ("-c", "-c"),
        ("a-b", "a-b"),
        ("-1", "-1"),
    ],
)
def test_only_names_of_options_lose_their_hyphens(word: str, underscored_word: str) -> None:
    assert underscored(word) == underscored_word


def test_errors_of_the_job_come_through() -> None:
    def failing(out: Path) -> None:
        """Fail."""
        raise SpaceError("no such space")

    with pytest.raises(SpaceError, match="no such space"):
        call(failing, ["failing", "x"], ("out",))
