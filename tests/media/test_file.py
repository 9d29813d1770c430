"""A media file is opened once, told once, and read alike from a path, a URL and memory."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

import mmembed.media.probe as probing
from mmembed.errors import MediaError
from mmembed.media.audio import decode_audio
from mmembed.media.container import audio_stream, open_container
from mmembed.media.file import MediaFile, Source, opened
from mmembed.media.image import decode_image
from mmembed.media.probe import probe
from mmembed.media.video import decode_video
from mmembed.paths import RemotePath, place

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def media(
    tone: Make, pcm: Make, encode_sound: Make, encode_video: Make, numbered: Make, picture: Make
) -> dict[str, bytes]:
    """A file for each library that reads files."""
    image = Image.new("RGB", (40, 30), "teal")
    return {
        "jpeg": picture("JPEG", image),
        "tiff": picture("TIFF", image, compression="tiff_lzw"),  # libtiff reads it
        "bmp": picture("BMP", image.convert("L")),  # Pillow would map it into memory
        "wav": pcm(tone(3)),
        "flac": pcm(tone(3), "FLAC"),
        "ogg": pcm(tone(3), "OGG", "VORBIS"),
        "mp3": encode_sound(tone(3), "libmp3lame", "mp3"),
        "mp4": encode_video(numbered(60), sound=tone(2.4)),
        "webm": encode_video(numbered(60), "libvpx-vp9", "webm"),
    }


def decoded(source: Source) -> list[np.ndarray]:
    """All that decoders make of a source."""
    info = probe(source)
    if info.modality == "image":
        return [decode_image(source)]
    arrays = [decode_audio(source).samples] if info.has_audio else []
    if info.modality == "video":
        arrays.append(decode_video(source, [0.5, 2.1, 0.1]).frames)
    return arrays


def same(arrays: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(arrays) == len(others) > 0 and all(map(np.array_equal, arrays, others))


class Vanishing(io.FileIO):
    """A file that is gone from its folder as soon as it is open: it can't be opened again."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        os.unlink(path)


@pytest.mark.parametrize(
    "kind", ["jpeg", "tiff", "bmp", "wav", "flac", "ogg", "mp3", "mp4", "webm"]
)
def test_a_file_is_opened_once_whatever_reads_it(
    kind: str, media: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "FileIO", Vanishing)
    path = tmp_path / f"file.{kind}"
    path.write_bytes(media[kind])
    with MediaFile(path) as file:
        assert not path.exists()
        arrays = decoded(file)
        assert same(decoded(file), arrays)
    assert same(decoded(media[kind]), arrays)


@pytest.mark.parametrize("decode", [probe, decode_image], ids=["probe", "decode"])
def test_a_path_is_opened_once_at_the_door(
    decode: Callable[[str], Any],
    media: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(io, "FileIO", Vanishing)
    path = tmp_path / "file.jpeg"
    path.write_bytes(media["jpeg"])
    decode(str(path))
    with pytest.raises(MediaError, match="no such file"):
        decode(str(path))


def test_a_path_a_url_and_bytes_give_the_same(media: dict[str, bytes], tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for kind, data in media.items():
        path = tmp_path / f"wrong-{kind}.txt"
        path.write_bytes(data)
        memory.pipe(f"/media-file/{kind}", data)
        url = place(f"memory://media-file/{kind}")
        assert isinstance(url, RemotePath)
        arrays = decoded(data)
        assert same(decoded(path), arrays)
        assert same(decoded(url), arrays)
        with MediaFile(url) as file:
            assert same(decoded(file), arrays)
            assert file.name == str(file) == f"memory://media-file/{kind}"
        assert probe(path) == probe(url) == probe(data)


def test_loaders_of_others_can_take_a_file_on_disk_by_its_path(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with MediaFile(tmp_path / "a.npy") as file:
        assert np.load(file).tolist() == [0, 1, 2]  # type: ignore[arg-type]
        assert Path(file) == tmp_path / "a.npy"
    with MediaFile(b"in memory") as file, pytest.raises(TypeError, match="has no path on this"):
        os.fspath(file)


def test_an_open_file_is_looked_at_once(
    media: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    sniffs, probes = [], []
    sniff, look = MediaFile.sniffed.func, probing._probe

    def counted_sniff(file: MediaFile) -> Any:
        sniffs.append(file)
        return sniff(file)

    def counted_probe(file: MediaFile) -> Any:
        probes.append(file)
        return look(file)

    monkeypatch.setattr(MediaFile.sniffed, "func", counted_sniff)
    monkeypatch.setattr(probing, "_probe", counted_probe)
    for data in media.values():
        with MediaFile(data) as file:
            assert file.info is None
            decoded(file)
            assert probe(file) is file.info
    assert len(sniffs) == len(probes) == len(media)


@pytest.mark.parametrize("positioned", [True, False], ids=["positioned", "as on Windows"])
def test_reading_bytes_disturbs_no_decoder(
    media: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positioned: bool
) -> None:
    if not positioned:
        monkeypatch.delattr(os, "pread")
    path = tmp_path / "file.mp3"
    path.write_bytes(media["mp3"])

    def samples(between: Callable[[MediaFile, int], Any]) -> np.ndarray:
        with MediaFile(path) as file, open_container(file, "decode") as container:
            frames = []
            for i, frame in enumerate(container.decode(audio_stream(container))):
                between(file, i)
                frames.append(frame.to_ndarray())
            return np.concatenate(frames, axis=1)

    left_alone = samples(lambda file, i: None)
    read_meanwhile = samples(lambda file, i: file.read_at(37 * i, 1000))
    assert np.array_equal(left_alone, read_meanwhile)


@pytest.mark.parametrize("positioned", [True, False], ids=["positioned", "as on Windows"])
def test_any_part_can_be_read_and_no_more_than_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positioned: bool
) -> None:
    if not positioned:
        monkeypatch.delattr(os, "pread")
    data = bytes(range(256)) * 40
    path = tmp_path / "file"
    path.write_bytes(data)
    fsspec.filesystem("memory").pipe("/media-file/part", data)
    for source in (data, path, place("memory://media-file/part")):
        with MediaFile(source) as file:
            for offset, count in ((0, 16), (5000, 9), (10_000, 1 << 60), (1 << 60, 7), (0, 0)):
                assert file.read_at(offset, count) == data[offset : offset + count]
            assert file.read_at(300, -1) == data[300:]
            assert file.stream().read() == data
            assert file.stream().read(4) == data[:4]  # each reader from the beginning


def test_files_are_closed_by_those_who_open_them(media: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.wav"
    path.write_bytes(media["wav"])
    with MediaFile(path) as file:
        with opened(file) as again:
            assert again is file
        decode_audio(file)
        assert file.read_at(0, 4) == b"RIFF"
    with pytest.raises(MediaError, match="can't be read: .*closed file") as caught:
        file.read_at(0, 4, stage="decode")
    assert caught.value.stage == "decode"


def test_nothing_stays_open_whether_files_are_good_or_broken(
    media: dict[str, bytes], tmp_path: Path
) -> None:
    def lowest_free() -> int:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    paths = []
    for kind, data in media.items():
        for share in (1.0, 0.5, 0.05):
            paths.append(tmp_path / f"{share}.{kind}")
            paths[-1].write_bytes(data[: int(share * len(data))])
    before, broken = lowest_free(), 0
    for path in paths:
        try:
            decoded(path)
        except MediaError:
            broken += 1
    assert broken > len(media) / 2
    assert lowest_free() == before


def test_a_file_that_can_not_be_opened_says_why(tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        (tmp_path / "none.jpg", r"none.jpg: no such file\. Check the path\."),
        (tmp_path, r": is a folder, not a file\. Name a file in it\."),
        ("nul\0byte.jpg", r"can't be read: embedded null byte"),
        ("n" * 300, rf"n: can't be read: .*{os.strerror(errno.ENAMETOOLONG)}"),
    ]
    for source, said in cases:
        for decode in (MediaFile, probe, decode_image, decode_audio):
            with pytest.raises(MediaError, match=said) as caught:
                decode(source)
            assert caught.value.stage == "probe"
    with pytest.raises(FileNotFoundError):
        probe(place("memory://media-file/nothing"))


def test_a_name_that_is_no_text_is_a_file_like_any(media: dict[str, bytes], tmp_path: Path) -> None:
    for kind in ("jpeg", "wav", "mp4"):
        path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe." + kind.encode())
        try:
            Path(path).write_bytes(media[kind])
        except OSError:  # such names are not allowed on every file system
            pytest.skip("names are UTF-8 here")
        assert same(decoded(path), decoded(media[kind]))
