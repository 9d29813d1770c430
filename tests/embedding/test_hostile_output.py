"""Going on with a dataset that a stranger made changes nothing outside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from tests.embedding.conftest import write_picture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_space_folder: Path) -> Path:
    """Media, and a dataset of them with an error."""
    root = tmp_path_factory.mktemp("made")
    for i in range(4):
        write_picture(root / f"media/{i}.png", i)
    (root / "media/torn.png").write_bytes((root / "media/0.png").read_bytes()[:200])
    embed(root / "media", root / "out", space=tiny_space_folder, workers=0, chunk_files=2)
    return root


@pytest.mark.parametrize(
    "kind", ["note", "absolute note", "errors", "part", "card", "lock", "text for a part"]
)
def test_embed_refuses_it_in_one_line_and_nothing_outside_changes(
    kind: str,
    made: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(made / "out", out)
    shutil.copytree(made / "out", other)
    parts = sorted(out.glob("part-*.parquet"))
    kept = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    if kind.endswith("note"):
        target = str(other / parts[0].name) if kind == "absolute note" else "../other/_mmembed.json"
        note = {"merged": parts[0].name, "replaced": [target]}
        (out / "_compaction.json").write_text(json.dumps(note))
    elif kind == "errors":
        shutil.rmtree(out / "_errors")
        (out / "_errors").symlink_to(other / "_errors")
    elif kind == "text for a part":
        (out / "part-new.parquet").write_text("x")
    else:
        path = {"part": parts[0], "card": out / "_mmembed.json", "lock": out / ".lock"}[kind]
        path.unlink()
        path.symlink_to(other / path.name)
    words = ["embed", str(made / "media"), str(out), "--space", str(tiny_space_folder)]
    capsys.readouterr()
    assert main([*words, "--workers", "0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"mmembed: error: {out}")
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == kept
