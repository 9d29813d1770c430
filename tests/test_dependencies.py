"""The ranges of dependencies leave out versions with faults that a stranger's file can reach."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
FAULTY = {  # the last version with the fault, and what it is
    "filelock": ("3.20.2", "CVE-2025-68146, CVE-2026-22701: follows a planted link to a lock file"),
    "jinja2": ("3.1.5", "CVE-2025-27516: leaves the sandbox"),
    "lightning": ("2.6.5", "CVE-2026-58659: a checkpoint's hyperparameters run code"),
    "pillow": ("12.2.0", "CVE-2026-40192, CVE-2026-55379: bombs and writes out of bounds"),
    "pyarrow": ("23.0.0", "CVE-2026-25087: use after free"),
    "ray": ("2.54.0", "CVE-2026-41486, CVE-2026-27482: unpickles an extension type"),
    "scikit-learn": ("1.4.2", "CVE-2024-5206: keeps words of the training texts"),
    "timm": ("1.0.25", "unpickles what checkpoint_path names"),
    "torch": ("2.9.1", "CVE-2025-32434, CVE-2026-24747: weights_only runs code"),
}


def requirements() -> list[Requirement]:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    if sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads(text)["project"]
        extras = project["optional-dependencies"].values()
        return [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]
    return [Requirement(line) for line in re.findall(r'^  "([a-z].*)",$', text, re.MULTILINE)]


@pytest.mark.parametrize("package", FAULTY)
def test_no_range_admits_a_version_with_a_known_fault(package: str) -> None:
    version, _ = FAULTY[package]
    ranges = [r.specifier for r in requirements() if r.name.lower() == package]
    assert ranges, f"{package} is no dependency any more"
    assert not any(version in each for each in ranges)


def test_the_pinned_versions_lie_in_the_ranges() -> None:
    pins = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text()))
    pinned = {name.lower(): version for name, version in pins.items()}
    for requirement in requirements():
        version = pinned.get(requirement.name.lower())
        assert version is None or version in requirement.specifier, requirement
