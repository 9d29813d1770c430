"""One walk: a run accounts for the files it saw, whatever appears, changes or vanishes then."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmembed.embedding.embed import embed
from mmembed.embedding.plan.catalog import BLOCK_FILES, Catalog
from mmembed.embedding.plan.listing import FolderListing, list_source
from mmembed.errors import StoreError
from mmembed.media.source_file import File, printable
from mmembed.paths import RemotePath, place
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for i in range(20):
        write_picture(folder / f"{i % 2}/{i:02}.png", i)
    return folder


def test_files_that_vanish_change_or_appear_during_the_run_are_accounted_for(
    media: Path, tiny_space_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.embedding import job

    def disturbed(*given: object) -> Iterator[list[File]]:
        for i in (0, 1, 2):
            (media / f"{i % 2}/{i:02}.png").unlink()
        write_picture(media / "0/04.png", 99, (50, 50))
        write_picture(media / "new/new.png", 98)
        yield from slices(*given)

    slices = job.slices
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(job, "slices", disturbed)
        summary = embed(media, out, space=tiny_space_folder, workers=0, chunk_files=6)
    assert (summary.files, summary.embedded, summary.failed, summary.to_do) == (20, 17, 3, 0)
    rows = set(EmbeddingTable.open(out).column("path"))
    errors = set(read_errors(out)["path"].to_pylist())
    assert errors == {"0/00.png", "1/01.png", "0/02.png"}
    assert (len(rows), rows & errors) == (17, set())
    after = embed(media, out, space=tiny_space_folder, workers=0)
    assert (after.files, after.embedded, after.failed, after.removed) == (18, 2, 0, 4)
    assert len(EmbeddingTable.open(out)) == 18


def test_a_source_is_walked_and_each_file_looked_at_once(
    media: Path, tiny_space_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmembed.media import folder

    looked: list[str] = []
    look = folder.status

    def counted(path: str, location: str) -> File:
        looked.append(path)
        return look(path, location)

    monkeypatch.setattr(folder, "status", counted)
    embed(media, tmp_path / "out", space=tiny_space_folder, workers=0)
    assert len(looked) == len(set(looked)) == 20


ODD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
PATHS = ODD.map(os.fsencode) | st.binary(max_size=6).map(lambda raw: raw.replace(b"\0", b""))
NUMBERS = st.none() | st.integers(0, 1 << 62)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(PATHS, NUMBERS, NUMBERS, st.booleans(), ODD)),
    st.sampled_from(["media", "/", "s3://bucket/folder", "s3://bucket"]),
    st.integers(1, 5),
)
def test_what_was_walked_comes_back_as_it_was(rows: list, root: str, repeated: int) -> None:
    where = RemotePath("s3://bucket", root[12:]) if root.startswith("s3") else Path(root)
    files = []
    for raw, size, mtime, unseen, problem in rows:
        path = os.fsdecode(raw)
        at = where / path if isinstance(where, RemotePath) else os.path.join(where, path)
        files.append(File(printable(path), at, None, size, mtime, None, problem, None, unseen))
    listing = FolderListing(Path("x"), Path("y"))
    listing.root = where
    listing._walk._entries = lambda _: iter(files * repeated)  # type: ignore[method-assign]
    catalog = Catalog(listing)
    for _ in range(2):
        back = list(catalog)
        assert back == files * repeated
        assert [file.location for file in back] == [file.location for file in files * repeated]
    assert catalog.total == len(catalog) == len(files) * repeated
    assert catalog.unseen == {file.path for file in files if file.unseen}


def test_more_files_than_a_block_come_back_in_order_from_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mmembed.embedding.plan import catalog

    monkeypatch.setattr(catalog, "MEMORY_BYTES", 1000)
    files = [File(f"{i:06}", f"x/{i:06}", size=i, mtime_ns=-i) for i in range(2 * BLOCK_FILES + 3)]
    listing = FolderListing(Path("x"), Path("y"))
    listing._walk._entries = lambda _: iter(files)  # type: ignore[method-assign]
    assert list(Catalog(listing)) == files


def test_no_room_for_the_list_of_files_is_one_line(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, _: int) -> None: ...

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(StoreError, match="no room for the list of files: No space left.* TMPDIR"):
        Catalog(list_source(media, media / "out"))


@given(st.lists(PATHS | st.sampled_from([b"a\\xff", b"a\xff", b"a\\x5cxff", b"a\\\\xff"])))
def test_no_two_names_share_a_path_and_usual_names_stay_as_they_are(names: list[bytes]) -> None:
    shown = {printable(os.fsdecode(name)) for name in names}
    assert len(shown) == len(set(names))
    for name in shown:
        name.encode()
    assert printable("sub/é\\n \\x7 \\xFF.png") == "sub/é\\n \\x7 \\xFF.png"
    assert printable(os.fsdecode(b"a\xff")) == "a\\xff"


def test_two_names_that_look_alike_have_rows_each(tiny_space_folder: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "media/a.png", 1)
    content = (tmp_path / "media/a.png").read_bytes()
    for name in (b"a\xff.png", b"a\\xff.png"):
        path = tmp_path / "media" / os.fsdecode(name)
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    for embedded in (3, 0):
        summary = embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
        assert (summary.embedded, summary.to_do) == (embedded, 0)
    ids = EmbeddingTable.open(tmp_path / "out").column("id")
    assert len(set(ids)) == len(ids) == 3


class Flaky(RemotePath):
    """A folder at a URL; listing those of its folders that are named ``away`` fails."""

    error: Exception = OSError()

    def entries(self) -> list:
        if self.name == "away":
            raise self.error
        return super().entries()

    def __truediv__(self, below: str) -> RemotePath:
        return type(self)(self.root, f"{self.path}/{below}")


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_folder_at_a_url_that_can_not_be_listed_is_unseen(
    media: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for name in ("a.png", "away/b.png", "c.png"):
        files.pipe(f"/flaky/{name}", b"x")
    monkeypatch.setattr(Flaky, "error", kind("the server is away\nand more"))
    root = place("memory://flaky")
    listing = FolderListing(Flaky(root.root, root.path), media)
    catalog = Catalog(listing)
    assert [file.path for file in catalog] == ["a.png", "away", "c.png"]
    assert [file.problem for file in catalog][1] == "can't be listed: the server is away and more"
    assert catalog.unseen == {"away"}
    assert [catalog.hides(path) for path in ("away/b.png", "away/d/e", "awayx", "a.png")] == [
        True,
        True,
        False,
        False,
    ]
