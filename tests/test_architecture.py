"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "mmembed").rglob("*.py"))
ALL = sorted(
    path
    for folder in ("mmembed", "pipelines", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
ALL_TREES = {path: ast.parse(path.read_text("utf-8")) for path in ALL}
TREES = {path: ALL_TREES[path] for path in SOURCES}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_FILE, MOST_PARAMETERS, MOST_SWITCHES = 300, 8, 1
LAYERS = """
__main__
cli
jobs
training embedding serving exporters mteb_encoder
query
pulling
space
encoders
data
decoding
preprocess evaluation
neighbors
store
media
paths
errors modality durations
"""
HEIGHT = {name: -row for row, line in enumerate(LAYERS.split("\n")) for name in line.split()}
FRAMEWORKS = {"torch", "torchvision", "torchaudio", "timm"}
LIGHTNING = {"lightning", "pytorch_lightning"}
WITHOUT_TORCH = {"decoding", "preprocess", "evaluation", "neighbors", "store", "media"}
WITHOUT_LIGHTNING = {*WITHOUT_TORCH, "data", "embedding", "encoders", "space"}
SAYS_NOTHING = re.compile(
    r"(^|_)(answers?|apart|binding|common|faults|feed|findings|found|gate|helpers?|judge|manager"
    r"|misc|narrowing|past|places?|said|shown|stuff|things?|utils?)(_|$)"
)
TRIVIAL = re.compile(r"'.?'|-?[01](\.0)?|True|False|None|\(\)|\[\]|\{\}")


def at(path: Path, node: ast.AST | None = None, what: str = "") -> str:
    line = getattr(node, "lineno", 0)
    return f"{path.relative_to(ROOT)}{f':{line}' if line else ''} {what}".strip()


def nodes(
    *kinds: type[ast.AST], trees: dict[Path, ast.Module] = TREES
) -> Iterator[tuple[Path, Any]]:
    """Every node of some kinds in the package, or in other files, with its file."""
    for path, tree in trees.items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, kinds))


def hold(faults: list[str]) -> None:
    assert not faults, "\n".join(["", *faults])


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """All that a file imports: at its top, inside functions, and for types alone."""
    imported: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports by dots"
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    return imported


def graph() -> dict[str, set[str]]:
    """By module of the package, the modules of the package that it imports."""
    modules = {module_of(path): path for path in SOURCES}
    targets: dict[str, set[str]] = {}
    for module, path in modules.items():
        targets[module] = set()
        for name in imports_of(path):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            targets[module] |= {name} - {"", module}
    return targets


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_layers_are_kept() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_imports_go_down_whether_at_the_top_lazy_or_for_types() -> None:
    climbing = [
        f"{module} imports {target}"
        for module, targets in graph().items()
        for target in targets
        if (above := package_of(module)) and above != (below := package_of(target))
        if HEIGHT[above] <= HEIGHT[below]
    ]
    hold(climbing)


def test_nobody_inside_imports_the_root() -> None:
    assert [m for m, targets in graph().items() if "mmembed" in targets] in (
        [],
        ["mmembed.__main__"],
    )


def test_modules_import_one_another_in_no_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_a_floor_names_no_framework_that_is_not_its_own() -> None:
    strange = []
    for path in SOURCES:
        package = package_of(module_of(path))
        roots = {name.split(".")[0] for name in imports_of(path)}
        forbidden = FRAMEWORKS if package in WITHOUT_TORCH else set()
        forbidden |= LIGHTNING if package in WITHOUT_LIGHTNING else set()
        strange += [at(path, what=name) for name in roots & forbidden]
    hold(strange)


def loaded(*modules: str) -> set[str]:
    """All top-level modules that a fresh process holds once some are imported."""
    program = (
        f"import sys, {', '.join(modules)}; print(*sorted(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("mmembed", {"torch", "numpy", "av", "pyarrow"}),
        ("mmembed.cli.commands", {"torch", "lightning", "numpy", "jsonargparse", "pyarrow"}),
        ("mmembed.cli.arguments", {"torch", "lightning", "numpy", "pyarrow"}),
        ("mmembed.embedding.embed", {"torch", "timm", "lightning", "ray"}),
        ("mmembed.jobs.compact", {"torch", "timm", "lightning"}),
        ("mmembed.jobs.rebind", {"torch", "timm", "lightning"}),
    ],
)
def test_importing_a_part_loads_only_what_it_needs(module: str, forbidden: set[str]) -> None:
    assert not forbidden & loaded(module)


@pytest.mark.parametrize("package", sorted(WITHOUT_TORCH & {package_of(m) for m in graph()}))
def test_a_floor_without_torch_starts_without_it(package: str) -> None:
    modules = [m for m in graph() if package_of(m) == package]
    assert not loaded(*modules) & (FRAMEWORKS | LIGHTNING)


def test_floors_without_lightning_start_without_it() -> None:
    modules = [m for m in graph() if package_of(m) in WITHOUT_LIGHTNING]
    assert not loaded(*modules) & LIGHTNING


def test_a_file_holds_one_thing_and_its_name_says_it() -> None:
    long = [at(p) for p in ALL if len(p.read_text("utf-8").splitlines()) > LONGEST_FILE]
    hold(long)
    vague = [
        at(path)
        for path in ALL
        for name in (*path.relative_to(ROOT).parts[1:-1], path.stem)
        if SAYS_NOTHING.search(name)
    ]
    hold(vague)


def test_nothing_is_pickled() -> None:
    roots = {name.split(".")[0] for path in SOURCES for name in imports_of(path)}
    assert not roots & {"pickle", "dill", "cloudpickle", "joblib"}


def test_docstrings_are_there_and_open_with_a_noun_or_verb() -> None:
    hold([at(path) for path, tree in TREES.items() if not ast.get_docstring(tree)])
    riddles = []
    for path, node in nodes(ast.Module, ast.ClassDef, *FUNCTIONS, trees=ALL_TREES):
        first = (ast.get_docstring(node) or "").partition("\n")[0]
        if re.match(r"(What|How|Where|Which|Why|When|TODO)\b", first):
            riddles.append(at(path, node, first))
    hold(riddles)


def test_names_say_what_they_hold() -> None:
    names = nodes(ast.Name, trees=ALL_TREES)
    stored = [(path, node) for path, node in names if isinstance(node.ctx, ast.Store)]
    hold([at(path, node, node.id) for path, node in stored if node.id == "found"])


def test_functions_take_few_parameters_and_few_switches() -> None:
    large = []
    for path, node in nodes(*FUNCTIONS):
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        own = [a for a in given if a.arg not in ("self", "cls")]
        defaults = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d]
        switches = [d for d in defaults if type(getattr(d, "value", None)) is bool]
        if len(own) > MOST_PARAMETERS or len(switches) > MOST_SWITCHES:
            what = f"{node.name}: {len(own)} parameters, {len(switches)} switches"
            large.append(at(path, node, what))
    hold(large)


def test_only_the_command_line_knows_how_options_are_typed() -> None:
    typed = [
        at(path, what=option)
        for path in SOURCES
        if package_of(module_of(path)) != "cli"
        for option in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", path.read_text("utf-8"))
    ]
    hold(typed)


def test_a_constant_of_one_name_and_value_has_one_home() -> None:
    """Another module imports it, or means something else and says so by the name."""
    homes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, node in nodes(ast.Assign, ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = ast.unparse(node.value) if node.value else ""
        if node not in TREES[path].body or TRIVIAL.fullmatch(value):
            continue
        for target in targets:
            if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z][A-Z0-9_]+", target.id):
                homes[target.id.lstrip("_"), value].append(module_of(path))
    hold([f"{name} in {', '.join(w)}" for (name, _), w in homes.items() if len(w) > 1])


def test_a_package_has_as_many_lines_of_tests_as_of_its_own() -> None:
    lines: dict[str, Counter[str]] = {"mmembed": Counter(), "tests": Counter()}
    for root, counts in lines.items():
        for path in (ROOT / root).rglob("*.py"):
            if len(parts := path.relative_to(ROOT / root).parts) > 1:
                counts[parts[0]] += len(path.read_text("utf-8").splitlines())
    of_tests = lines["tests"]
    own = sorted(lines["mmembed"].items())
    hold([f"{p}: {of_tests[p]} lines of tests for {n}" for p, n in own if of_tests[p] < n])


def test_text_of_every_error_is_held_by_a_test() -> None:
    """Each error's message has a run of words that some test or its data names."""
    tests = "\n".join(p.read_text("utf-8") for p in (ROOT / "tests").rglob("*.py"))
    said = re.sub(r"\\(.)", r"\1", tests).lower()
    missing = []
    for path, node in nodes(ast.Raise):
        name = ast.unparse(node.exc.func) if isinstance(node.exc, ast.Call) else ""
        if not name.endswith("Error") or name in ("NotImplementedError", "AssertionError"):
            continue
        literal = [
            c.value
            for a in node.exc.args
            for c in ast.walk(a)
            if isinstance(c, ast.Constant) and isinstance(c.value, str)
        ]
        sentences = [text for text in literal if " " in text.strip()] or literal
        words = [w for text in sentences for w in _runs(text.lower())]
        if words and not any(w in said for w in words):
            missing.append(at(path, node, " | ".join(literal)))
    hold(missing)


def _runs(text: str) -> list[str]:
    tokens = text.split()
    size = min(2, len(tokens))
    return [
        run
        for i in range(len(tokens) - size + 1)
        if len(run := " ".join(tokens[i : i + size]).strip(".,:;()")) >= 5
    ]
