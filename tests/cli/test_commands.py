"""Words that a user types, and the line that answers a mistake."""

from __future__ import annotations

import gc
import importlib
import inspect
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mmembed
from mmembed.cli import commands as cli
from mmembed.errors import ConfigError, Terminated, VerdictError


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Make ``mmembed fit`` call a function of the test."""

    def put(function: Callable) -> None:
        monkeypatch.setattr(cli, "command", lambda name: function)

    return put


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in cli.COMMANDS)


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version_is_that_of_the_package(word: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main([word]) == 0
    assert capsys.readouterr().out.strip() == f"mmembed {mmembed.__version__}"


@pytest.mark.parametrize(
    ("word", "hint"), [("fitt", "did you mean fit?"), ("zzz", "choose from fit, validate")]
)
def test_a_misspelt_command_is_named(word: str, hint: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main([word]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mmembed: error: there is no command {word}; ")
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_row_names_a_function_and_what_stands_without_a_name(name: str) -> None:
    row = cli.COMMANDS[name]
    function = getattr(importlib.import_module(row.module), row.function)
    if row.positional is None:
        assert list(inspect.signature(function).parameters) == ["words"]
    else:
        assert set(row.positional) <= set(inspect.signature(function).parameters)
        assert function.__doc__


@pytest.mark.parametrize("name", [n for n, row in cli.COMMANDS.items() if row.positional])
def test_help_of_a_command_shows_options_with_hyphens(
    name: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: mmembed {name} ")
    assert not re.findall(r"--[a-z-]*_\w*", said)


def test_a_typed_function_is_a_command_with_one_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "greeting.py").write_text(
        "def greet(name: str, *, many_times: int = 1) -> str:\n"
        '    """Greet."""\n'
        "    return ' '.join(['hello'] * many_times + [name])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    row = cli.Command("greeting", "greet", "say hello", ("name",))
    monkeypatch.setitem(cli.COMMANDS, "greet", row)
    assert cli.main(["greet", "you", "--many-times", "2"]) == 0
    assert capsys.readouterr().out == "hello hello you\n"
    assert cli.main(["greet", "you", "--many-times", "x"]) == 2
    assert "error: --many-times: expected int, got x" in capsys.readouterr().err


def test_a_verdict_comes_after_the_summary_of_what_was_done(
    job: Callable, capsys: pytest.CaptureFixture
) -> None:
    def strict(words: list[str]) -> int:
        raise VerdictError("2 files have an error", "10 files found", "strict")

    job(strict)
    assert cli.main(["fit"]) == 1
    said = capsys.readouterr()
    assert said.out == "10 files found\n"
    assert said.err == "mmembed: error: --strict: 2 files have an error\n"


def test_a_stopped_run_says_what_goes_on_with_it(
    job: Callable, capsys: pytest.CaptureFixture
) -> None:
    def stopped(words: list[str]) -> int:
        stop = Terminated()
        stop.option, stop.value, stop.sentence = "ckpt_path", "last", "goes on"
        raise stop

    job(stopped)
    assert cli.main(["fit"]) == 143
    said = capsys.readouterr().err
    assert said == "mmembed: stopped by SIGTERM: --ckpt-path last goes on\n"


def test_help_comes_at_once() -> None:
    """Slow imports wait for the command that needs them."""
    program = (
        "import sys; from mmembed.cli.commands import main; main(['--help'])\n"
        "slow = {'numpy', 'pyarrow', 'jsonargparse', 'torch', 'av', 'PIL', 'yaml', 'rich'}\n"
        "sys.exit(bool(slow & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert "mmembed COMMAND --help" in done.stdout


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
        "cli.command = lambda name: job\n"
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
