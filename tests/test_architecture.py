"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "mmembed").rglob("*.py"))
ALL = sorted(
    path
    for folder in ("mmembed", "pipelines", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


def names(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in paths]


def test_layers_are_kept() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", ALL, ids=names(ALL))
def test_a_file_holds_one_thing(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert not re.search(r"(^|_)(utils?|helpers?|manager|misc|common)(_|$)", path.stem)


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_nothing_is_pickled_and_modules_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert not imported & {"pickle", "dill", "cloudpickle", "joblib"}
    assert (ast.get_docstring(tree) or "TODO") != "TODO"


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_functions_take_few_arguments_and_few_switches(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or node.name == "__init__":
            continue
        given = [
            a for a in (*node.args.args, *node.args.kwonlyargs) if a.arg not in ("self", "cls")
        ]
        defaults = [*node.args.defaults, *[d for d in node.args.kw_defaults if d]]
        switches = [d for d in defaults if isinstance(d, ast.Constant) and type(d.value) is bool]
        assert len(given) <= 12, f"{node.name} takes {len(given)} arguments"
        assert len(switches) <= 2, f"{node.name} has {len(switches)} switches"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("mmembed", {"torch", "numpy", "av", "pyarrow"}),
        ("mmembed.cli.commands", {"torch", "lightning", "numpy", "jsonargparse", "pyarrow"}),
        ("mmembed.media", {"torch", "torchvision", "torchaudio"}),
        ("mmembed.preprocess.base", {"torch", "torchvision", "torchaudio", "timm"}),
        ("mmembed.store.table", {"torch", "timm", "lightning"}),
        ("mmembed.evaluation", {"torch", "timm", "lightning"}),
        ("mmembed.embedding", {"lightning"}),
    ],
)
def test_importing_a_part_loads_only_what_it_needs(module: str, forbidden: set[str]) -> None:
    program = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not forbidden & set(done.stdout.split())


def test_text_of_every_error_is_held_by_a_test() -> None:
    """Each error's message has a run of words that some test or its data names."""
    tests = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*.py"))
    said = re.sub(r"\\(.)", r"\1", tests).lower()
    missing = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = ast.unparse(node.exc.func)
            if not name.endswith("Error") or name in ("NotImplementedError", "AssertionError"):
                continue
            literal = [
                c.value
                for a in node.exc.args
                for c in ast.walk(a)
                if isinstance(c, ast.Constant) and isinstance(c.value, str)
            ]
            words = [w for text in literal for w in _runs(text.lower())]
            if words and not any(w in said for w in words):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                missing.append(f"{where} {' | '.join(literal)}")
    assert not missing, "no test names the text of:\n" + "\n".join(missing)


def _runs(text: str) -> list[str]:
    tokens = text.split()
    size = min(2, len(tokens))
    return [
        run
        for i in range(len(tokens) - size + 1)
        if len(run := " ".join(tokens[i : i + size]).strip(".,:;()")) >= 5
    ]
