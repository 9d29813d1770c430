"""A page shows files inside a folder of this machine, and asks no network, unless told to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmembed.embedding.settings import Limits
from mmembed.evaluation.evaluate import evaluate
from mmembed.evaluation.items import read_items
from mmembed.evaluation.report import thumbnails
from mmembed.evaluation.report.media_cards import media_cards
from mmembed.evaluation.report.media_files import MediaFiles
from mmembed.evaluation.report.thumbnails import Wanted, thumbnail
from mmembed.paths import RemotePath
from mmembed.store.table import EmbeddingTable

from ..conftest import dataset, write_picture
from .crashing_path import CrashingPath
from .pages import data_of


class Listener:
    """A server of this machine that answers nobody, and counts who calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._socket.getsockname())
        self.calls = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                called, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            called.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def media(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A folder with two pictures, and a secret one beside it."""
    folder = tmp_path / "media"
    for path in (folder / "a.png", folder / "deep/b.png", tmp_path / "secret.png"):
        path.parent.mkdir(exist_ok=True)
        write_picture(path, rng)
    return folder


def judged(root: Path, paths: list[str], source: str, media: str | Path | None = None) -> Path:
    """Evaluate a dataset of pictures with these paths and this source; return the report."""
    rows = [
        {"path": path, "modality": "image", "label": f"l{i % 2}"} for i, path in enumerate(paths)
    ]
    data = dataset(root / "set", rows, np.random.default_rng(0).normal(size=(len(rows), 4)), source)
    page = evaluate(data, report=root / "report", media=media).report
    assert page is not None
    return page.parent


def pictures(report: Path) -> list[str]:
    return sorted(data_of(report, "media")["pictures"].values())


def picture_of(*paths: Path) -> list[str]:
    pictures = sorted(thumbnail(Wanted(path, "picture")).picture for path in paths)
    assert all(pictures)
    return pictures


def said(report: Path) -> str:
    return (report / "report.html").read_text("utf-8")


@pytest.mark.parametrize("form", ["http://{}/media", "s3://media/below?endpoint_override={}"])
def test_a_source_at_a_url_is_never_asked(
    form: str, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    source = form.format(listener.address) + ("&scheme=http" if "?" in form else "")
    report = judged(tmp_path, ["a.png", "b.png", "c.png", "d.png"], source)
    assert listener.calls == 0
    assert pictures(report) == []
    assert "4 files not shown: the source is at a URL, which is not asked; name the folder" in said(
        report
    )
    assert listener.address not in "".join(p.read_text("latin-1") for p in report.iterdir())


def test_paths_that_lead_out_of_the_source_are_counted_and_not_shown(
    media: Path, tmp_path: Path
) -> None:
    (media / "link.png").symlink_to(tmp_path / "secret.png")
    (media / "folder").symlink_to(tmp_path)
    os.mkfifo(media / "pipe.png")
    (media / "inner.png").symlink_to(media / "deep/b.png")
    out = [str(tmp_path / "secret.png"), "../secret.png", "link.png", "folder/secret.png"]
    out += ["deep/../../secret.png", "/proc/self/environ"]
    report = judged(
        tmp_path, ["a.png", "inner.png", "pipe.png", "deep", "gone.png", *out], str(media)
    )
    assert pictures(report) == picture_of(media / "a.png", media / "deep/b.png")
    page = said(report)
    assert picture_of(tmp_path / "secret.png")[0] not in page
    assert "6 files not shown: outside the source; name a folder of media" in page
    assert "2 files not shown: no regular file." in page
    assert "1 file not shown: not where they were embedded from; name the folder of media" in page


def test_an_honest_source_shows_every_file(media: Path, tmp_path: Path) -> None:
    both = picture_of(media / "a.png", media / "deep/b.png")
    paths = ["a.png", "deep/b.png", "deep/../a.png", str(media / "a.png")]
    manifest = media / "all.csv"
    manifest.write_text("image\na.png\n")
    (tmp_path / "linked").symlink_to(media)
    for source in (media, manifest, tmp_path / "linked", f"file://{media}"):
        report = judged(tmp_path, paths, str(source))
        assert sorted(set(pictures(report))) == both
        assert len(pictures(report)) == 4
        assert "not shown: " not in said(report)


@pytest.mark.parametrize("source", ["", "media", "..", "file://media", "//host/share", "\0"])
def test_a_source_that_names_no_folder_of_this_machine_shows_nothing(
    source: str, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = judged(tmp_path, ["a.png", "media/a.png"], source)
    assert pictures(report) == []
    assert " not shown: " in said(report)


def test_media_opens_a_folder_and_nothing_outside_it(media: Path, tmp_path: Path) -> None:
    (media / "link.png").symlink_to(tmp_path / "secret.png")
    paths = ["a.png", "link.png", "../secret.png", str(tmp_path / "secret.png")]
    report = judged(tmp_path, paths, "https://127.0.0.1:9/x", media=media)
    assert pictures(report) == picture_of(media / "a.png")
    assert "3 files not shown: outside of the folder of media that was named." in said(report)


def test_media_opens_what_a_manifest_names_outside_its_own_folder(
    media: Path, tmp_path: Path
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "all.csv").write_text("image\n../media/a.png\n")
    paths = ["../media/a.png", str(media / "deep/b.png"), str(tmp_path / "secret.png")]
    bare = judged(tmp_path, paths, str(lists / "all.csv"))
    assert pictures(bare) == []
    assert "3 files not shown: outside the source" in said(bare)
    report = judged(tmp_path, paths, str(lists / "all.csv"), media=media)
    assert pictures(report) == picture_of(media / "a.png", media / "deep/b.png")
    assert "1 file not shown: outside of the folder of media that was named." in said(report)


def test_media_at_a_url_opens_only_paths_below_it() -> None:
    files = MediaFiles("", "memory://bucket/media")
    assert files.find("a/b.png") == RemotePath("memory://bucket", "media/a/b.png")
    for path in ("../b.png", "a/../../b.png", "/b.png", "//b.png", "s3://bucket/b.png"):
        assert files.find(path) == "outside"


@pytest.mark.parametrize("path", ["a\0.png", "x" * 5000, "a.png/b.png"])
def test_a_path_that_no_file_can_have_is_gone(path: str, media: Path) -> None:
    assert MediaFiles(str(media)).find(path) == "gone"


def test_a_file_that_crashes_its_decoder_costs_its_picture_only(
    media: Path, tmp_path: Path
) -> None:
    class Files(MediaFiles):
        def find(self, path: str) -> object:
            return CrashingPath() if path == "crash.png" else super().find(path)

    rows = [{"path": p, "modality": "image"} for p in ("a.png", "crash.png", "deep/b.png")]
    data = dataset(tmp_path / "set", rows, np.eye(3), str(media))
    items = read_items(EmbeddingTable.open(data))
    made, sentences = media_cards(items, [], [0, 1, 2], Files(str(media)))
    assert [bool(made[i].picture) for i in made] == [True, False, True]
    assert sentences == ["1 file not shown: can't be read or decoded."]


def test_a_page_shows_no_larger_files_than_embed_takes() -> None:
    assert Limits().max_pixels == thumbnails.MAX_PIXELS
    assert Limits().duration_seconds == thumbnails.MAX_SECONDS


def test_pictures_of_more_pixels_than_embed_takes_are_not_shown(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (16000, 16000)).save(bomb)
    assert thumbnail(Wanted(bomb, "picture")).picture == ""
