"""The files of a folder that are embedded: those that globs take, and none of the system's."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmembed import EmbeddingTable, embed
from mmembed.cli import commands as cli
from mmembed.errors import ConfigError, ManifestError, StoreError
from tests.embedding.conftest import write_picture


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for number, name in enumerate(("a.png", "b.bmp", "old/c.png", "@eaDir/a.png/thumb.png")):
        write_picture(folder / name, number)
    (folder / "a.png.json").write_text("{}")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    return folder


def test_system_files_and_sidecars_are_no_errors(media: Path, eyes: Path, tmp_path: Path) -> None:
    summary = embed(media, tmp_path / "out", space=eyes, workers=0)
    assert (summary.files, summary.embedded, summary.failed, summary.system) == (3, 3, 0, 3)
    assert "3 files and folders of the system and sidecars skipped" in str(summary)


def test_a_dataset_belongs_to_one_choice_of_files(media: Path, eyes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = embed(media, out, space=eyes, workers=0, include="*.png", exclude="old")
    assert (summary.files, summary.embedded, summary.unwanted) == (1, 1, 2)
    assert "2 names left out by the globs" in str(summary)
    assert EmbeddingTable.open(out).column("path").tolist() == ["a.png"]
    for other in ({}, {"include": "*.png"}, {"include": "*.bmp", "exclude": "old"}):
        with pytest.raises(StoreError, match=r"include|exclude"):
            embed(media, out, space=eyes, workers=0, **other)
    assert embed(media, out, space=eyes, workers=0, include="*.png", exclude="old").kept == 1


def test_the_command_names_the_option(
    media: Path, eyes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["embed", str(media), str(tmp_path / "out"), "--space", str(eyes), "--workers", "0"]
    assert cli.main([*words, "--include", "[z-a].png"]) == 2
    assert "--include" in capsys.readouterr().err
    assert cli.main([*words, "--include", "*.png"]) == 0
    assert "1 names left out by the globs" in capsys.readouterr().out


def test_globs_that_take_nothing_or_stand_beside_a_manifest_are_refused(
    media: Path, eyes: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match="no files in it but 6 names that are skipped"):
        embed(media, tmp_path / "out", space=eyes, workers=0, include="*.gif")
    manifest = media / "rows.csv"
    manifest.write_text("image\na.png\n")
    with pytest.raises(ConfigError, match="is a manifest, which names its files"):
        embed(manifest, tmp_path / "out", space=eyes, workers=0, exclude="*.bmp")
