"""A secret in a URL opens what it opens, and stands in no file, no line and no error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.errors import MmembedError
from mmembed.evaluation.evaluate import evaluate
from mmembed.jobs.compact import compact
from mmembed.paths import RemotePath, place
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture

SECRET = "hunter2"


def url(path: str) -> str:
    """A URL that needs no server, and takes any name and password for a bucket."""
    return f"memory://KEY:{SECRET}@bucket/{path}"


def files_at(folder: RemotePath) -> Iterator[bytes]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from files_at(path)
        else:
            yield path.read_bytes()


@pytest.fixture(scope="module")
def made(tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Media and their dataset at URLs with a secret."""
    source, out = place(url("media")), url("out")
    assert isinstance(source, RemotePath)
    picture = tmp_path_factory.mktemp("media") / "a.png"
    for i in range(6):
        write_picture(picture, i)
        write(source / f"{i % 3}/{i}.png", picture.read_bytes())
    write(source / "torn.png", b"\x89PNG\r\n\x1a\n")
    words = ["embed", url("media"), out, "--space", str(tiny_space_folder), "--workers", "0"]
    with redirect_stdout(StringIO()) as said, redirect_stderr(said):
        assert main([*words, "--chunk-files", "3"]) == 0
        assert main([*words, "--chunk-files", "3"]) == 0
    assert "dataset: memory://bucket/out" in said.getvalue()
    assert SECRET not in said.getvalue()
    return url("media"), out


def write(path: RemotePath, content: bytes) -> None:
    path.filesystem.create_dir(path.parent.inside, recursive=True)
    with path.filesystem.open_output_stream(path.inside) as stream:
        stream.write(content)


def test_no_file_and_no_line_holds_the_secret(
    made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    media, out = made
    assert main(["compact", out]) == 0
    report = tmp_path / "report"
    words = ["evaluate", out, out, "--report", str(report), "--media", media]
    assert main([*words, "--relevance", "stem", "--fail-under", "*/mAP=1.01"]) in (1, 2)
    assert main(words) == 0
    said = capsys.readouterr()
    assert "Against memory://bucket" in said.out.replace("\n", " ")
    assert SECRET not in said.out + said.err
    dataset = place(out)
    assert isinstance(dataset, RemotePath)
    written = [*files_at(dataset), *(p.read_bytes() for p in report.iterdir())]
    assert len(written) >= 6
    assert not [content for content in written if SECRET.encode() in content]
    table = EmbeddingTable.open(out)
    assert table.source == "memory://bucket/media"
    assert SECRET not in f"{table.provenance}{table.rows.schema.metadata}"
    assert SECRET not in str(read_errors(out).to_pylist())


MISTAKES = [
    ["evaluate", f"s3://KEY:a/{SECRET}@bucket/out"],
    ["evaluate", f"nosuch://u:{SECRET}@h/out"],
    ["evaluate", url("nothing")],
    ["evaluate", "OUT", url("nothing")],
    ["evaluate", "OUT", "--report", f"s3://KEY:{SECRET}@bucket/report"],
    ["evaluate", "OUT", "--media", url("nothing")],
    ["evaluate", "OUT", "--qrels", f"s3://KEY:{SECRET}@bucket/qrels.csv"],
    ["evaluate", "OUT", "--prompts", url("nothing")],
    ["evaluate", "OUT", "--split", f"s3://KEY:{SECRET}@bucket"],
    ["compact", url("nothing")],
    ["compact", "OUT", "--part-rows", f"s3://KEY:{SECRET}@bucket"],
    ["rebind", "OUT", url("nothing")],
    ["rebind", "OUT", "MEDIA", "--old-source", f"nosuch://u:{SECRET}@h/media"],
    ["embed", url("nothing"), "OUT", "--space", "SPACE"],
    ["embed", "MEDIA", "OUT", "--space", f"s3://KEY:{SECRET}@bucket/space"],
    ["embed", url("media/0"), "OUT", "--space", "SPACE"],
    ["embed", "MEDIA", "OUT", "--space", "SPACE", f"--secret-key={SECRET}"],
    [f"s3://KEY:{SECRET}@bucket"],
]


@pytest.mark.parametrize("words", MISTAKES, ids=lambda words: " ".join(words)[:40])
def test_a_mistake_is_said_in_one_line_without_the_secret(
    words: list[str],
    made: tuple[str, str],
    tiny_space_folder: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    named = {"MEDIA": made[0], "OUT": made[1], "SPACE": str(tiny_space_folder)}
    assert main([named.get(word, word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("mmembed: error: ")
    assert said.err.count("\n") == 1
    assert SECRET not in said.out + said.err


def test_an_error_in_python_holds_no_secret(made: tuple[str, str], tmp_path: Path) -> None:
    for wrong in (
        lambda: embed(url("nothing"), tmp_path / "out", space=tmp_path),
        lambda: evaluate(url("nothing")),
        lambda: evaluate(made[1], report=Path(f"s3://KEY:{SECRET}@bucket/report")),
        lambda: compact(url("nothing")),
    ):
        with pytest.raises(MmembedError) as raised:
            wrong()
        error = raised.value
        assert SECRET not in f"{error}{error!r}{error.args}"
