"""The page of the documentation that benchmarks write their figures into, a section each."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
TITLE = "# Benchmarks\n\nNumbers on this page are written by the scripts in `benchmarks/`.\n"


def conditions(*packages: str) -> str:
    """Return day, machine and versions, as a sentence."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("mmembed", *packages))
    return (
        f"{datetime.date.today().isoformat()}, {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {versions}."
    )


def write_section(name: str, text: str) -> None:
    """Put ``text`` between the markers of ``name``, in place of what stood there."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = PAGE.read_text("utf-8") if PAGE.is_file() else TITLE
    block = f"{begin}\n{text.strip()}\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if pattern.search(page):
        page = pattern.sub(lambda _: block, page)
    else:
        page = f"{page.rstrip()}\n\n{block}\n"
    PAGE.write_text(page, "utf-8")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text("utf-8") if cpuinfo.is_file() else ""
    match = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()
