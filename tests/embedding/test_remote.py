"""Media and dataset at S3 URLs, on a real server: the same rows as on disk, each once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.errors import ConfigError, ManifestError, StoreError
from mmembed.paths import RemotePath, place
from mmembed.store.dataset_files import part_files
from mmembed.store.part_file import open_part
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_clip, write_picture, write_sound
from tests.embedding.test_exactly_once import assert_same

SERVER = shutil.which("moto_server", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(SERVER is None, reason="there is no S3 server to start")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Address of an S3 server of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([SERVER, "-p", str(port)], stderr=subprocess.DEVNULL)
    address = f"127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://{address}/").close()
            break
        except OSError:
            time.sleep(0.05)
    yield address
    process.kill()
    process.wait()


class Bucket:
    """A bucket: URLs in it, and local folders copied into it."""

    def __init__(self, name: str, endpoint: str) -> None:
        request = urllib.request.Request(f"http://{endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        self.name, self.endpoint = name, endpoint

    def url(self, path: str) -> str:
        options = f"endpoint_override={self.endpoint}&scheme=http&region=us-east-1"
        return f"s3://key:secret@{self.name}/{path}?{options}"

    def at(self, path: str) -> RemotePath:
        folder = place(self.url(path))
        assert isinstance(folder, RemotePath)
        return folder

    def put(self, path: str, content: bytes) -> None:
        where = self.at(path)
        with where.filesystem.open_output_stream(where.inside) as stream:
            stream.write(content)

    def upload(self, folder: Path, to: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{to}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Bucket:
    return Bucket(f"test-{abs(hash(request.node.name)) % 10**9}", endpoint)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for i in range(60):
        write_picture(folder / f"photos {i % 3}/ü{i:02}.png", i, (20 + i % 9, 24))
    for i in range(10):
        write_sound(folder / f"sounds/{i}.wav", 0.3 + 0.4 * i, i)
    write_sound(folder / "sounds/large.wav", 600.0, 5)  # 9.6 MB: read by ranges
    write_clip(folder / "clips/a.mp4", 3.0, 1)
    (folder / "photos 0/torn.png").write_bytes((folder / "photos 0/ü00.png").read_bytes()[:300])
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("no medium that the space knows")
    return folder


@pytest.fixture(scope="module")
def uploaded(media: Path, endpoint: str) -> str:
    """URL of the media."""
    shelf = Bucket("shelf", endpoint)
    shelf.upload(media, "media")
    return shelf.url("media")


@pytest.fixture(scope="module")
def on_disk(media: Path, tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("disk") / "out"
    embed(media, out, space=tiny_space_folder, workers=0)
    return out


def test_rows_at_a_url_are_those_on_disk_and_changes_are_found(
    bucket: Bucket, media: Path, on_disk: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    bucket.upload(media, "media")
    source, out = bucket.url("media"), bucket.url("vectors/first")
    summary = embed(source, out, space=tiny_space_folder, workers=2, chunk_files=20)
    assert (summary.files, summary.failed, summary.hidden) == (74, 2, 1)
    assert_same(place(out), on_disk)
    table = EmbeddingTable.open(out)
    assert table.source == f"s3://{bucket.name}/media"
    assert "secret" not in str(table.provenance)
    before = {path.name: path.info().mtime_ns for path in place(out).iterdir()}
    again = embed(source, out, space=tiny_space_folder, workers=0)
    assert (again.kept, again.embedded, again.failed) == (74, 0, 0)
    assert {path.name: path.info().mtime_ns for path in place(out).iterdir()} == before

    bucket.at("media/sounds/3.wav").unlink()
    write_picture(tmp_path / "new.png", 99)
    bucket.put("media/photos 1/new.png", (tmp_path / "new.png").read_bytes())
    changed = embed(source, out, space=tiny_space_folder, workers=0)
    assert (changed.embedded, changed.removed, changed.kept) == (1, 1, 73)
    paths = set(EmbeddingTable.open(out).column("path"))
    assert "photos 1/new.png" in paths
    assert "sounds/3.wav" not in paths


def test_killed_and_run_again_at_a_url_every_file_is_there_once(
    bucket: Bucket, uploaded: str, on_disk: Path, tiny_space_folder: Path
) -> None:
    out = bucket.url("out")
    words = [sys.executable, "-m", "mmembed", "embed", uploaded, out]
    words += ["--space", str(tiny_space_folder), "--workers", "1", "--chunk-files", "4"]
    for parts in (1, 6):
        process = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True)
        while process.poll() is None and len(list(place(out).glob("part-*.parquet"))) < parts:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert len(EmbeddingTable.open(out)) > 0  # whatever is there is whole
    embed(uploaded, out, space=tiny_space_folder, workers=0)
    assert_same(place(out), on_disk)


def test_what_two_runs_at_once_wrote_twice_is_taken_out(
    bucket: Bucket, uploaded: str, on_disk: Path, tiny_space_folder: Path
) -> None:
    out = bucket.url("out")
    words = [sys.executable, "-m", "mmembed", "embed", uploaded, out, "--workers", "0"]
    words += ["--space", str(tiny_space_folder), "--chunk-files"]
    runs = [subprocess.Popen([*words, size], stderr=subprocess.PIPE) for size in ("7", "10")]
    for run in runs:
        _, said = run.communicate()
        assert run.returncode == 0, said
    embed(uploaded, out, space=tiny_space_folder, workers=0)
    assert_same(place(out), on_disk)


def test_a_dataset_at_a_url_is_compacted_and_judged(
    bucket: Bucket, uploaded: str, on_disk: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = bucket.url("out")
    embed(uploaded, out, space=tiny_space_folder, workers=0, chunk_files=9)
    assert len(part_files(out)) > 3
    assert main(["compact", out]) == 0
    assert len(part_files(out)) == 1
    assert_same(place(out), on_disk)
    words = ["evaluate", out, "--report", str(tmp_path / "report")]
    assert main([*words, "--media", uploaded]) == 0
    assert "data:image/" in (tmp_path / "report/report.html").read_text()


def test_a_manifest_at_a_url_names_files_beside_it(
    bucket: Bucket, tiny_space_folder: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png", 1)
    bucket.put("set/pictures/a.png", (tmp_path / "a.png").read_bytes())
    bucket.put("set/all.csv", b"image,label\npictures/a.png,one\npictures/gone.png,two\n")
    source, out = bucket.url("set/all.csv"), tmp_path / "out"
    embed(source, out, space=tiny_space_folder, workers=0)
    assert EmbeddingTable.open(out).column("label").tolist() == ["one"]
    (error,) = read_errors(out).to_pylist()
    assert (error["path"], error["message"]) == ("pictures/gone.png", "no such file")


def test_mistakes_are_named_in_one_line(
    bucket: Bucket, media: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=rf"s3://{bucket.name}/nowhere: no such folder"):
        embed(bucket.url("nowhere"), tmp_path / "out", space=tiny_space_folder)
    with pytest.raises(ConfigError, match="nosuch://bucket: Protocol not known"):
        embed("nosuch://bucket/media", tmp_path / "out", space=tiny_space_folder)
    with (
        pytest.raises(FileNotFoundError, match=rf"s3://{bucket.name}/part\.parquet: is gone"),
        open_part(bucket.at("part.parquet")),
    ):
        pass
    gone = bucket.url("out").replace(bucket.name, f"{bucket.name}-gone")
    with pytest.raises(StoreError, match=rf"s3://{bucket.name}-gone/out.*: can't be written"):
        embed(media, gone, space=tiny_space_folder, workers=0)


def test_other_file_systems_go_through_fsspec(
    media: Path, on_disk: Path, tiny_space_folder: Path
) -> None:
    summary = embed(media, "memory://bucket/out", space=tiny_space_folder, workers=0)
    assert summary.failed == 2
    assert_same(place("memory://bucket/out"), on_disk)
    names = [path.name for path in place("memory://bucket/out").iterdir()]
    assert not [name for name in names if name.startswith(".")]
