"""Options stand in errors and summaries as they are typed, however the user typed them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmembed.cli.commands import main
from mmembed.cli.error_advice import error_text, option, result_text, stop_text
from mmembed.embedding.progress import EmbedSummary
from mmembed.errors import (
    ConfigError,
    MediaError,
    MmembedError,
    StoreError,
    Terminated,
    TruncatedError,
    VerdictError,
)
from mmembed.store.table import read_errors
from tests.embedding.conftest import write_picture, write_sound


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MmembedError("is wrong."), "is wrong."),
        (ConfigError("must be positive", "part_rows", 0), "--part-rows 0: must be positive"),
        (ConfigError("is for folders.", "with_sound"), "--with-sound: is for folders."),
        (ConfigError("give i/n", "shard", ""), "--shard : give i/n"),
        (
            MediaError("a.png", "probe", "is large. Raise the limit.", "pillow", "max_pixels"),
            "a.png: is large (decoder: pillow). Raise the limit (--max-pixels).",
        ),
        (
            TruncatedError("a.wav", "stops. Re-encode it, or allow truncated files.", "", 1.0),
            "a.wav: stops. Re-encode it, or allow truncated files (--allow-truncated).",
        ),
        (
            ConfigError("take less", "engine", "ray", "actors workers batch_size"),
            "--engine ray: take less (--actors, --workers, --batch-size)",
        ),
        (StoreError("trust it", advice="trust=my_towers"), "trust it (--trust my_towers)"),
        (VerdictError("3 files", "a summary", "strict"), "--strict: 3 files"),
        (MmembedError(""), ""),
    ],
)
def test_an_error_shows_its_option_and_those_that_help(error: MmembedError, text: str) -> None:
    assert error_text(error) == text
    assert "--" not in str(error)


@given(st.from_regex(r"[a-z]+(_[a-z]+){0,3}", fullmatch=True), st.none() | st.integers())
def test_an_option_is_typed_with_hyphens(name: str, value: int | None) -> None:
    typed = option(name, value)
    assert re.fullmatch(r"--[a-z]+(-[a-z]+)*( -?\d+)?", typed)
    assert typed.split(" ")[0][2:].replace("-", "_") == name


def test_a_stopped_run_says_what_goes_on_with_it() -> None:
    stop = Terminated()
    assert stop_text(stop) == ""
    stop.sentence = "no epoch was finished"
    assert stop_text(stop) == "no epoch was finished"
    stop.option, stop.value, stop.sentence = "ckpt_path", "run/a b_c.ckpt", "goes on"
    assert stop_text(stop) == "--ckpt-path run/a b_c.ckpt goes on"


def test_a_summary_names_the_options_that_help(tmp_path: Path) -> None:
    summary = EmbedSummary(tmp_path)
    assert result_text(summary) == str(summary)
    assert result_text("any result") == "any result"
    summary.advice = Counter(max_pixels=2, allow_truncated=3000)
    named = "--allow-truncated (3,000), --max-pixels (2)"
    assert result_text(summary) == f"{summary}\noptions that help with failed files: {named}"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    write_picture(tmp_path / "media/small.png", 1, (20, 20))
    write_picture(tmp_path / "media/large.png", 1, (50, 41))
    write_sound(tmp_path / "media/long.wav", 3.0, 1)
    write_sound(tmp_path / "media/torn.wav", 1.0, 2)
    torn = tmp_path / "media/torn.wav"
    torn.write_bytes(torn.read_bytes()[:6000])
    return tmp_path / "media"


@pytest.mark.parametrize("hyphens", [True, False])
def test_a_run_names_options_where_they_help_and_its_tables_none(
    media: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    hyphens: bool,
) -> None:
    out = tmp_path / "out"
    words = ["--max_pixels", "2000", "--max_duration=2s", "--workers", "0", "--strict"]
    if hyphens:
        words = [word.replace("_", "-") for word in words]
    command = ["embed", str(media), str(out), "--space", str(tiny_space_folder)]
    assert main([*command, *words]) == 1
    said = capsys.readouterr()
    options = "--allow-truncated (1), --max-duration (1), --max-pixels (1)"
    lines = said.out.splitlines()
    assert sorted(re.findall(r"--[a-z-]+ \(1\)", lines[-1])) == options.split(", ")
    assert said.err.splitlines()[-1].startswith("mmembed: error: --strict: 3 files have an error")
    errors = {row["path"]: row["message"] for row in read_errors(out).to_pylist()}
    assert errors["large.png"].endswith("Scale it down, or raise the limit of pixels.")
    assert errors["long.wav"].endswith("Cut it, or raise the limit of length.")
    assert errors["torn.wav"].endswith("Re-encode it, or allow truncated files.")
    assert not [message for message in errors.values() if "--" in message]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch_size", "0"], "--batch-size 0: must be at least 1"),
        (["--batch-size=0"], "--batch-size 0: must be at least 1"),
        (["--max_duration", "long"], "--max-duration long: "),
        (["--chunk-files", "-3"], "--chunk-files -3: must be at least 1"),
        (["--shard", "5/4"], "--shard 5/4: give i/n, such as 1/4 to 4/4"),
        (["--device", "cuda:99"], "--device cuda:99: "),
        (["--engine", "rya"], "--engine: expected "),
        (["--batchsize", "3"], "option or config key --batchsize; did you mean --batch-size?"),
        (["--trust", "my towers"], "--trust my towers: give the name of a package"),
        (["--segment", "1s", "--hop", "2s"], "needs 0 < hop_seconds <= segment_seconds"),
    ],
)
def test_a_mistake_is_one_line_with_the_option_as_it_is_typed(
    media: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    words: list[str],
    said: str,
) -> None:
    command = ["embed", str(media), str(tmp_path / "out"), "--space", str(tiny_space_folder)]
    assert main([*command, "--workers", "0", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mmembed: error: ")
    assert said in error
    assert error.count("\n") == 1
