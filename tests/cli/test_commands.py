"""What a user types, and what the command says to a mistake."""

from __future__ import annotations

import gc
import runpy
import subprocess
import sys
from collections.abc import Callable

import pytest

import mmembed
from mmembed.cli import commands as cli
from mmembed.errors import ConfigError


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Make ``mmembed fit`` call a function of the test."""

    def put(function: Callable) -> None:
        monkeypatch.setattr(cli, "_job", lambda name: function)

    return put


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_job(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in cli.JOBS)


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version_is_that_of_the_package(word: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main([word]) == 0
    assert capsys.readouterr().out.strip() == f"mmembed {mmembed.__version__}"


@pytest.mark.parametrize(
    ("word", "hint"), [("fitt", "did you mean fit?"), ("zzz", "choose from fit, validate")]
)
def test_a_misspelt_job_is_named(word: str, hint: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main([word]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mmembed: error: there is no job {word}; ")
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", cli.JOBS)
def test_every_job_can_be_imported(name: str) -> None:
    assert callable(cli._job(name))


def test_mistakes_are_one_line_and_exit_with_2(
    job: Callable, capsys: pytest.CaptureFixture
) -> None:
    def mistake(words: list[str]) -> int:
        raise ConfigError("data.batch_size 1: needs more")

    job(mistake)
    assert cli.main(["fit"]) == 2
    assert capsys.readouterr().err == "mmembed: error: data.batch_size 1: needs more\n"


def test_ctrl_c_is_one_line_and_exits_with_130(
    job: Callable, capsys: pytest.CaptureFixture
) -> None:
    def stopped(words: list[str]) -> int:
        raise KeyboardInterrupt

    job(stopped)
    assert cli.main(["fit"]) == 130
    assert capsys.readouterr().err == "mmembed: stopped\n"


def test_our_own_mistakes_keep_their_traceback(job: Callable) -> None:
    def bug(words: list[str]) -> int:
        return {}["x"]

    job(bug)
    with pytest.raises(KeyError, match="x"):
        cli.main(["fit"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = (
        "import sys; from mmembed.cli import commands as cli\n"
        "def job(words):\n    raise BrokenPipeError\n"
        "cli._job = lambda name: job\n"
        "sys.exit(cli.main(['fit']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_module_runs_as_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmembed", "--version"])
    try:
        with pytest.raises(SystemExit) as stop:
            runpy.run_module("mmembed", run_name="__main__")
        assert gc.get_freeze_count() > 0  # the process ends without a last look for garbage
    finally:
        gc.unfreeze()
    assert stop.value.code == 0
    assert mmembed.__version__ in capsys.readouterr().out


def test_public_names_are_sorted_and_there() -> None:
    assert mmembed.__all__ == sorted(mmembed.__all__)
    for name in mmembed.__all__:
        assert getattr(mmembed, name).__name__ == name
    assert set(mmembed.__all__) <= set(dir(mmembed))


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'mmembed' has no attribute 'embedd'"):
        mmembed.embedd  # noqa: B018
