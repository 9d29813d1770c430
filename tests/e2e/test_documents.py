"""Every command and program that the documents show does what it says, as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmembed.cli.commands import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line for text in blocks(page, "console") for line in text.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ mmembed")]


def header(config: Path) -> str:
    """The comment that a config opens with, its continued lines joined."""
    lines = config.read_text("utf-8").splitlines()
    opening = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return "\n".join(line[1:].strip() for line in opening).replace("\\\n", "")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder such as a clone: configs and pipelines, and a small demo that has been run."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    pipeline = [sys.executable, "pipelines/avdigits.py", "--images", "100", "--epochs", "1"]
    done = subprocess.run(pipeline, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_demo_leaves_what_the_readme_says(workplace: Path) -> None:
    assert {p.name for p in (workplace / "runs" / "avdigits").iterdir()} == {
        "media",
        "fit",
        "space",
        "embeddings",
        "report",
    }


SHOWN = list(dict.fromkeys(c for page in PAGES for c in commands(page)))


@pytest.mark.parametrize("command", [c for c in SHOWN if not PLACEHOLDER.search(c)], ids=str)
def test_every_command_shown_runs(command: str, workplace: Path) -> None:
    words = shlex.split(command, comments=True)[1:]
    prints = bool({"--print-config", "--print_config"} & {*words})
    if words[0] == "fit" and not prints:
        words += ["--trainer.max_epochs", "2"]  # the options shown stand before it
    if words[0] == "embed":
        shutil.rmtree(words[2])  # it holds vectors of the demo's space, which fit has replaced
    if prints:
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 0
    else:
        assert main(words) == 0


def test_every_command_is_shown() -> None:
    assert {c.split()[1] for c in SHOWN} >= set(COMMANDS) - {"test", "predict"}


@pytest.mark.parametrize("config", CONFIGS, ids=[c.name for c in CONFIGS])
def test_every_config_parses_and_opens_with_its_command(config: Path, workplace: Path) -> None:
    shown = re.findall(r"^(?:python pipelines|mmembed).*", header(config), re.MULTILINE)
    assert shown, "a config opens with the command to run"
    assert any(f"configs/{config.name}" in c or "--config" not in c for c in shown)
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", f"configs/{config.name}", "--print_config"])
    assert stop.value.code == 0


PROGRAMS = [
    pytest.param(text, id=f"{page.name}-{i}")
    for page in PAGES
    for i, text in enumerate(blocks(page, "python"))
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_shown_runs(program: str, workplace: Path) -> None:
    media = workplace / "runs" / "avdigits" / "media"
    (workplace / "photos").mkdir(exist_ok=True)
    files = {"photo.png": "image", "voice.wav": "audio", "clip.mp4": "video"}
    for name, kind in {**files, "photos/cat.png": "image"}.items():
        if not (workplace / name).exists():
            shutil.copy(next((media / kind).iterdir()), workplace / name)
    if not (workplace / "OUT").exists():
        (workplace / "OUT").symlink_to(workplace / "runs" / "avdigits" / "embeddings")
    for page in PAGES:
        for text in blocks(page, "python"):
            if name := re.match(r"# (\S+/\S+\.py)\n", text):
                (workplace / name[1]).parent.mkdir(parents=True, exist_ok=True)
                (workplace / name[1]).write_text(text, "utf-8")
    script = workplace / "program.py"
    script.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=workplace, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
