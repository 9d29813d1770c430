"""Pages of docs that a stranger follows to the letter: their code blocks, files and commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def page(name: str) -> str:
    """Return the text of a page of docs."""
    return (DOCS / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language in the text of a page."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def write_files(text: str, folder: Path) -> None:
    """Write the Python files that a page shows, each by the path that it opens with."""
    for shown in blocks(text, "python"):
        path = folder / re.match(r"# (\S+\.py)\n", shown).group(1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, "utf-8")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` in a folder, whose packages can be imported."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
