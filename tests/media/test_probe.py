"""A file is what its content says, whatever its name says."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmembed.errors import MediaError
from mmembed.media.file import MediaFile, Source
from mmembed.media.probe import MediaInfo, probe
from mmembed.modality import kinds

Make = Callable[..., Any]


def sniff(source: Source) -> tuple[str, str] | None:
    with MediaFile(source) as file:
        return file.sniffed


@pytest.fixture(scope="module")
def zoo(
    tone: Make, pcm: Make, encode_sound: Make, encode_video: Make, numbered: Make, picture: Make
) -> dict[str, tuple[str, bytes]]:
    """For every format: what it is, and a file of it."""
    image, sound = Image.new("RGB", (12, 8), "teal"), tone(1.5)
    files: dict[str, tuple[str, bytes]] = {}
    for format in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
        files[format] = "image", picture(format, image)
    for format in ("wav", "flac", "ogg", "aiff"):
        subtype = "VORBIS" if format == "ogg" else "PCM_16"
        files[format] = "audio", pcm(sound, format.upper(), subtype)
    for format, codec, container in (
        ("mp3", "libmp3lame", "mp3"),
        ("m4a", "aac", "ipod"),
        ("aac", "aac", "adts"),
        ("opus", "libopus", "ogg"),
    ):
        files[format] = "audio", encode_sound(sound, codec, container)
    frames = numbered(30)
    for format, codec, container in (
        ("mp4", "libx264", "mp4"),
        ("mov", "libx264", "mov"),
        ("mkv", "libx264", "matroska"),
        ("webm", "libvpx-vp9", "webm"),
        ("avi", "mpeg4", "avi"),
        ("mpegts", "libx264", "mpegts"),
        ("mpeg", "mpeg2video", "mpeg"),
        ("flv", "libx264", "flv"),
    ):
        files[format] = "video", encode_video(frames, codec, container)
    return files


def test_every_format_is_known_by_content_under_any_name(
    zoo: dict[str, tuple[str, bytes]], tmp_path: Path
) -> None:
    names = [f"file{suffix}" for kind in kinds().values() for suffix in sorted(kind.suffixes)]
    for i, (format, (modality, data)) in enumerate(zoo.items()):
        path = tmp_path / names[(7 * i) % len(names)]
        path.write_bytes(data)
        assert sniff(path) == sniff(data) == (modality, format)
        info = probe(path)
        assert (info.modality, info.format) == (modality, format)
        assert info == probe(str(path)) == probe(data)


def test_probing_tells_the_numbers(zoo: dict[str, tuple[str, bytes]]) -> None:
    for format, (modality, data) in zoo.items():
        info = probe(data)
        if modality == "image":
            assert info == MediaInfo("image", format, width=12, height=8)
        if modality == "audio":
            rate = 48000 if format == "opus" else 16000
            assert (info.width, info.height, info.fps) == (None, None, None)
            assert (info.sample_rate, info.channels, info.has_audio) == (rate, 1, True)
            assert info.duration_seconds == pytest.approx(1.5, abs=0.15), format
        if modality == "video":
            assert (info.width, info.height, info.fps) == (64, 32, 25), format
            assert (info.sample_rate, info.channels, info.has_audio) == (None, None, False)
            if format != "mpeg":  # FFmpeg's time stamps of so small frames are off there
                assert info.duration_seconds == pytest.approx(1.2, abs=0.1), format


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "webm", "avi", "flv"])
def test_a_container_without_pictures_is_audio(
    container: str, tone: Make, encode_sound: Make
) -> None:
    codec = {"webm": "libopus", "avi": "libmp3lame"}.get(container, "aac")
    info = probe(encode_sound(tone(1, 48000), codec, container, 48000))
    assert (info.modality, info.has_audio, info.width) == ("audio", True, None)


@pytest.mark.parametrize("container", ["mp3", "mp4"])
def test_cover_art_makes_no_video(
    container: str, tone: Make, picture: Make, write_sound: Make
) -> None:
    cover = picture("JPEG", Image.new("RGB", (32, 32), "red"))
    codec = "libmp3lame" if container == "mp3" else "aac"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=16000)
        stream.layout = "mono"
        art = output.add_stream("mjpeg", rate=1)
        art.width, art.height, art.pix_fmt = 32, 32, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        output.start_encoding()
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = art, 0, 0, True
        output.mux(packet)
        write_sound(output, stream, tone(1))
    data = file.getvalue()
    with av.open(io.BytesIO(data)) as source:
        assert len(source.streams.video) == 1
    info = probe(data)
    assert (info.modality, info.has_audio, info.width) == ("audio", True, None)


def test_a_tag_before_the_sound_is_stepped_over(zoo: dict[str, tuple[str, bytes]]) -> None:
    size = 70_000
    header = bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    tag = b"ID3\4\0\0" + header + bytes(size)
    for format in ("mp3", "aac", "flac"):
        assert sniff(tag + zoo[format][1]) == ("audio", format)
        info = probe(tag + tag + zoo[format][1])
        assert (info.modality, info.format) == ("audio", format)
        assert info.duration_seconds == pytest.approx(1.5, abs=0.15)
    with pytest.raises(MediaError, match="is of no known format"):
        probe(tag + b"rubbish" * 100)


def test_text_is_what_ends_in_txt_and_is_utf8(tmp_path: Path) -> None:
    good, bad, other = (tmp_path / name for name in ("a.TXT", "b.txt", "c.md"))
    good.write_text("Grüße, 世界")
    bad.write_bytes(b"\xff\xfe\x00 not UTF-8")
    other.write_text("plain")
    assert sniff(good) == ("text", "txt")
    assert probe(good) == MediaInfo("text", "txt", text="Grüße, 世界")
    for path in (bad, other):
        assert sniff(path) is None
        with pytest.raises(MediaError, match="is of no known format"):
            probe(path)


def test_a_disguised_picture_is_not_text(tmp_path: Path, picture: Make) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(picture("PNG", Image.new("L", (3, 2))))
    assert probe(path).modality == "image"


def test_what_can_not_be_probed_says_why(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    cases = {
        tmp_path / "none.jpg": r"none.jpg: no such file\. Check the path",
        tmp_path: r"is a folder, not a file\. Name a file in it",
        empty: r"empty.jpg: is empty\. Copy it again",
        b"": r"<bytes>: is empty",
        b"what is this": r"<bytes>: is of no known format",
        "nul\0byte.jpg": "can't be read",
    }
    for source, said in cases.items():
        with pytest.raises(MediaError, match=said) as caught:
            probe(source)  # type: ignore[arg-type]
        assert caught.value.stage == "probe"


def test_broken_headers_say_what_is_broken(zoo: dict[str, tuple[str, bytes]]) -> None:
    for format, (modality, data) in zoo.items():
        if format in ("gif", "bmp", "webp", "aac", "mp3", "mpegts", "mpeg", "flv", "opus", "ogg"):
            continue  # the header is smaller than this
        said = "that can't be decoded" if modality == "image" else "can't be opened|holds neither"
        with pytest.raises(MediaError, match=said) as caught:
            probe(data[:24])
        assert caught.value.stage == "probe"


def test_a_container_with_nothing_to_decode_is_refused() -> None:
    words = b"1\n00:00:00,000 --> 00:00:01,000\nnothing to see or hear\n\n"
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(words), format="srt") as source,
        av.open(file, "w", format="matroska") as output,
    ):
        stream = output.add_stream_from_template(source.streams[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(MediaError, match="holds neither sound nor pictures"):
        probe(file.getvalue())


def test_playlists_and_scripts_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"")
    for text in ("#EXTM3U\n#EXTINF:1,\nsecret.wav\n", "ffconcat version 1.0\nfile secret.wav\n"):
        path = tmp_path / "list.mp4"
        path.write_text(text)
        with pytest.raises(MediaError, match=r"is a playlist, .*\. Embed the files that it names"):
            probe(path)


def test_a_name_like_a_url_is_a_file(
    zoo: dict[str, tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("concat:a|b.mp4").write_bytes(zoo["mp4"][1])
    assert probe("concat:a|b.mp4").modality == "video"


def test_length_is_read_from_the_packets_when_no_header_has_it(
    encode_video: Make, numbered: Make
) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", options={"live": "1"}) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "yuv420p"
        for picture in numbered(50):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    assert probe(file.getvalue()).duration_seconds == pytest.approx(2.0, abs=0.05)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
@example(b"\xff\xfe" + "UTF-16 text".encode("utf-16-le"))
@example(b"BM is a common beginning of words")
@example(b"\xff\xfb\x90\x00")
@example(b"RIFF\0\0\0\0WAVE")
@example(b"ID3\4\0\0\x7f\x7f\x7f\x7f")
def test_probing_any_bytes_gives_an_answer_or_a_media_error(data: bytes) -> None:
    try:
        info = probe(data)
    except MediaError as error:
        assert error.stage == "probe"  # noqa: PT017
    else:
        assert info.modality in ("image", "audio", "video")
