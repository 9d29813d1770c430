"""Segments, sound tracks and files that stop early."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mmembed.cli.commands import main
from mmembed.embedding.embed import embed
from mmembed.errors import ConfigError
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_clip, write_picture, write_sound
from tests.embedding.corpus import sound

RATE = 8000


def write_film(path: Path, seconds: float, sound_seconds: float) -> None:
    """A clip of 10 frames a second with a sound track of noise, which may end earlier.

    AAC pads it by up to two frames of 0.13 s.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("libx264", rate=10)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        track = out.add_stream("aac", rate=RATE, layout="mono")
        noise = rng.normal(0, 0.1, (1, round(RATE * sound_seconds))).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
        frame.sample_rate = RATE
        out.mux([*track.encode(frame), *track.encode()])
        for _ in range(round(10 * seconds)):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(pictures.encode())


def spans(table: EmbeddingTable, path: str, modality: str) -> list[tuple[float, float]]:
    rows = table.rows.to_pylist()
    return [
        (row["start_s"], row["end_s"])
        for row in rows
        if row["path"] == path and row["modality"] == modality
    ]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    write_film(folder / "whole.mp4", 5.0, 5.0)
    write_film(folder / "sooner.mp4", 5.0, 1.5)
    write_film(folder / "later.mkv", 1.0, 4.5)
    write_clip(folder / "mute.mp4", 3.0, 1)
    write_sound(folder / "alone.wav", 3.0, 1)
    write_picture(folder / "still.png", 1)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_with_sound_a_film_has_rows_of_both_kinds(
    films: Path, workers: int, tiny_space: Space, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = {"with_sound": True, "workers": workers, "chunk_files": 2}
    summary = embed(films, out, space=tiny_space_folder, **options)
    assert (summary.files, summary.embedded, summary.failed) == (6, 6, 0)
    table = EmbeddingTable.open(out)
    assert len(set(table.column("id"))) == len(table)
    starts = [start for start, _ in spans(table, "whole.mp4", "video")]
    assert starts == [0.0, 2.0, 4.0]
    heard = spans(table, "whole.mp4", "audio")
    assert [start for start, _ in heard] == [0.0, 2.0, 4.0]
    assert heard[-1][1] == pytest.approx(5.0, abs=0.3)
    assert len(spans(table, "sooner.mp4", "video")) == 3
    ((begin, end),) = spans(table, "sooner.mp4", "audio")
    assert (begin, end) == (0.0, pytest.approx(1.5, abs=0.3))
    assert len(spans(table, "later.mkv", "video")) == 1
    assert spans(table, "later.mkv", "audio")[-1][1] == pytest.approx(4.5, abs=0.3)
    assert not spans(table, "mute.mp4", "audio")
    again = embed(films, out, space=tiny_space_folder, **options)
    assert (again.kept, again.embedded, again.removed) == (6, 0, 0)
    chosen = (table.column("path") == "sooner.mp4") & (table.column("modality") == "audio")
    exact = tiny_space.encode(films / "sooner.mp4", modality="audio")
    assert np.abs(table.vectors[chosen][0] - exact).max() <= 1e-6


def test_with_sound_is_refused_where_it_has_no_meaning(
    films: Path, tiny_space: Space, tiny_space_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text("id,video\n1,media/whole.mp4\n")
    with pytest.raises(ConfigError, match=r"^with_sound: is for folders\. In a manifest, name"):
        embed(tmp_path / "list.csv", tmp_path / "out", space=tiny_space_folder, with_sound=True)
    image = Space({"image": tiny_space.encoders["image"]}, dim=4, name="seen")
    folder = image.save(tmp_path / "seen")
    with pytest.raises(ConfigError, match="^with_sound: space seen has no encoder for audio"):
        embed(films, tmp_path / "out", space=folder, with_sound=True)


def test_a_sound_track_named_in_a_manifest_may_be_shorter_than_the_film(
    films: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text("id,video,audio\n1,media/sooner.mp4,media/sooner.mp4\n")
    out = tmp_path / "out"
    embed(tmp_path / "list.csv", out, space=tiny_space_folder, workers=0)
    assert len(read_errors(out)) == 0
    assert len(spans(EmbeddingTable.open(out), "media/sooner.mp4", "audio")) == 1


def shortened(folder: Path) -> Path:
    """Half of a WAV, an Ogg and a film, whole ones beside them."""
    write_sound(folder / "whole.wav", 5.0, 1)
    data = (folder / "whole.wav").read_bytes()
    (folder / "half.wav").write_bytes(data[: 44 + 2 * round(2.6 * RATE)])
    (folder / "edge.wav").write_bytes(data[: 44 + 2 * round(4.0 * RATE)])
    (folder / "tail.wav").write_bytes(data[: 44 + 2 * round(2.1 * RATE)])
    coded = sound("flac", "flac", 5.0)
    (folder / "half.flac").write_bytes(coded[: len(coded) // 2])
    write_film(folder / "film.mp4", 5.0, 5.0)
    with av.open(str(folder / "film.mp4")) as film:
        options = {"movflags": "faststart"}
        with av.open(str(folder / "half.mp4"), "w", format="mp4", options=options) as out:
            streams = {s.index: out.add_stream_from_template(s) for s in film.streams}
            for packet in film.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
    moved = (folder / "half.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(moved[: len(moved) * 6 // 10])
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_what_stops_early_is_an_error_unless_allowed_and_then_its_rows_say_so(
    workers: int, tiny_space_folder: Path, tmp_path: Path
) -> None:
    media = shortened(tmp_path / "media")
    strict, lenient = tmp_path / "strict", tmp_path / "lenient"
    embed(media, strict, space=tiny_space_folder, workers=workers)
    said = {row["path"]: row["message"] for row in read_errors(strict).to_pylist()}
    assert set(said) == {"half.wav", "edge.wav", "tail.wav", "half.flac", "half.mp4"}
    assert all("or allow truncated files" in message for message in said.values()), said
    assert "truncated" not in EmbeddingTable.open(strict).columns
    words = ["embed", str(media), str(lenient), "--space", str(tiny_space_folder)]
    assert main([*words, "--allow-truncated", "--workers", str(workers)]) == 0
    table = EmbeddingTable.open(lenient)
    assert len(read_errors(lenient)) == 0
    flags = {row["path"]: row["truncated"] for row in table.rows.to_pylist()}
    assert {path for path, flag in flags.items() if flag} == set(said)
    assert spans(table, "half.wav", "audio") == [(0.0, 2.0), (2.0, pytest.approx(2.6, abs=1e-3))]
    assert spans(table, "edge.wav", "audio") == [(0.0, 2.0), (2.0, 4.0)]
    assert spans(table, "tail.wav", "audio") in ([(0.0, pytest.approx(2.1))], [(0.0, 2.0)])
    assert 1.5 < spans(table, "half.flac", "audio")[-1][1] < 3.5
    assert 1.0 < spans(table, "half.mp4", "video")[-1][1] < 4.5
    assert np.isfinite(table.vectors).all()


def test_segments_cover_a_long_file_in_several_tasks(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    """More than one task can send at once: 20 minutes in spans of half a second."""
    write_sound(tmp_path / "media/long.wav", 1200.0, 1)
    options = {"workers": 1, "segment": "2s", "hop": "2s"}
    embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, **options)
    cut = spans(EmbeddingTable.open(tmp_path / "out"), "long.wav", "audio")
    assert cut == [(2.0 * i, 2.0 * i + 2.0) for i in range(600)]
