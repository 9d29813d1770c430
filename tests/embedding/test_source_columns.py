"""Size, length and rates of the source file beside each vector, in old datasets and new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmembed import EmbeddingTable, embed, evaluate
from mmembed.decoding.messages import DecodeRequest, Segments
from mmembed.decoding.worker import Decoder
from mmembed.jobs.compact import compact
from mmembed.media.image import decode_image
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.text import TextPreprocess
from mmembed.store.schema import OF_SOURCE_FILE
from tests.embedding.conftest import write_picture, write_sound

Make = Callable[..., Any]
COLUMNS = ("width", "height", "duration_s", "sample_rate", "frame_rate")
NOTHING = dict.fromkeys(COLUMNS)


def sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def said(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Columns of the rows of a dataset on their files, by path and modality."""
    rows = EmbeddingTable.open(out).rows.to_pylist()
    each = {(row["path"], row["modality"]): {n: row[n] for n in COLUMNS} for row in rows}
    assert all(row[n] == each[row["path"], row["modality"]][n] for row in rows for n in COLUMNS)
    return each


def test_rows_say_size_length_and_rates_of_their_file(
    tiny_space_folder: Path,
    tmp_path: Path,
    encode_video: Make,
    numbered: Make,
    pcm: Make,
    tone: Make,
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    Image.new("RGB", (60, 40)).save(media / "plain.png")
    Image.new("RGB", (2000, 1000)).save(media / "scaled.jpg")  # decoded at an eighth
    Image.new("RGB", (60, 40)).save(media / "turned.jpg", exif=sideways())
    (media / "stereo.wav").write_bytes(pcm(tone(4.5, 22050, (440.0, 660.0)), rate=22050))
    film = encode_video(numbered(75), sound=tone(3.0))
    (media / "film.mp4").write_bytes(film)
    (media / "mute.mp4").write_bytes(encode_video(numbered(50)))
    embed(media, tmp_path / "out", space=tiny_space_folder, workers=0, with_sound=True)
    rows = said(tmp_path / "out")
    of_film = rows["film.mp4", "video"]
    assert rows["film.mp4", "audio"] == of_film, "both are of the same file"
    assert of_film["duration_s"] == pytest.approx(3.0, abs=0.04)
    assert of_film | {"duration_s": 3} == {
        "width": 64,
        "height": 32,
        "duration_s": 3,
        "sample_rate": 16000,
        "frame_rate": 25.0,
    }
    mute = rows["mute.mp4", "video"]
    assert (mute["sample_rate"], mute["frame_rate"]) == (None, 25.0)
    assert rows["plain.png", "image"] == NOTHING | {"width": 60, "height": 40}
    assert rows["scaled.jpg", "image"] == NOTHING | {"width": 2000, "height": 1000}
    assert rows["turned.jpg", "image"] == NOTHING | {"width": 40, "height": 60}
    assert rows["stereo.wav", "audio"] == NOTHING | {"duration_s": 4.5, "sample_rate": 22050}


def test_a_picture_that_says_behind_its_pixels_how_it_is_turned_is_told_upright(
    picture: Make, png_chunk: Make, tmp_path: Path
) -> None:
    """PNG may: by EXIF or by XMP, in front of the pixels or behind."""
    plain = picture("PNG", Image.new("RGB", (30, 20)))
    exif = sideways().tobytes().removeprefix(b"Exif\0\0")
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    head, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    for chunk in (png_chunk(b"eXIf", exif), png_chunk(b"iTXt", text)):
        for at in (head, end):
            path = tmp_path / "turned.png"
            path.write_bytes(plain[:at] + chunk + plain[at:])
            assert decode_image(path).shape == (30, 20, 3)
            (answer,) = Decoder({"image": ImagePreprocess(size=8)})([DecodeRequest(str(path))])
            assert isinstance(answer, Segments), answer
            assert answer.info is not None
            assert (answer.info.width, answer.info.height) == (20, 30)


def test_a_text_has_none_of_them_and_does_not_travel_twice() -> None:
    preprocess = TextPreprocess(vocabulary=40, max_tokens=16).fitted(["some words", "more words"])
    (answer,) = Decoder({"text": preprocess})([DecodeRequest("m.csv", "text", content="words")])
    assert isinstance(answer, Segments)
    assert answer.info is not None
    assert answer.info.text is None
    assert not any((answer.info.width, answer.info.duration_seconds, answer.info.fps))


@pytest.fixture
def old(eyes: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A source of six pictures, and its dataset as it was before the columns were there."""
    media, out = tmp_path / "media", tmp_path / "out"
    for number in range(6):
        write_picture(media / f"{'cats' if number % 2 else 'dogs'}/{number}.png", number)
    rows = [f"{p.relative_to(media)},{p.parent.name}" for p in sorted(media.rglob("*.png"))]
    (media / "m.csv").write_text("\n".join(["image,label", *rows]))
    embed(media / "m.csv", out, space=eyes, workers=0, chunk_files=3)
    for part in out.glob("part-*.parquet"):
        pq.write_table(pq.read_table(part).drop_columns(sorted(OF_SOURCE_FILE)), part)
    return media, out


def by_id(out: Path) -> dict[str, np.ndarray]:
    table = EmbeddingTable.open(out)
    return dict(zip(table.column("id"), table.vectors, strict=True))


def test_an_old_dataset_is_read_and_nothing_of_it_embedded_again(
    old: tuple[Path, Path], eyes: Path
) -> None:
    media, out = old
    parts = {part: part.read_bytes() for part in out.glob("part-*.parquet")}
    before = by_id(out)
    assert len(before) == 6
    summary = embed(media / "m.csv", out, space=eyes, workers=0)
    assert (summary.kept, summary.embedded, summary.upgraded) == (6, 0, 0)
    assert {part: part.read_bytes() for part in out.glob("part-*.parquet")} == parts
    assert len(evaluate(out).items) == 6


def test_an_old_dataset_goes_on_with_nulls_in_its_old_rows(
    old: tuple[Path, Path], eyes: Path, tmp_path: Path
) -> None:
    """Parts with and without the columns are read, written again and compacted together."""
    media, out = old
    before = by_id(out)
    write_picture(media / "cats/9.png", 9, (33, 44))
    manifest = (media / "m.csv").read_text().replace("dogs/0.png,dogs\n", "")
    (media / "m.csv").write_text(manifest + "\ncats/9.png,cats")
    summary = embed(media / "m.csv", out, space=eyes, workers=0)
    assert (summary.removed, summary.embedded) == (1, 1)
    sizes = {row["path"]: (row["width"], row["height"]) for row in _rows(out)}
    assert sizes.pop("cats/9.png") == (33, 44)
    assert set(sizes.values()) == {(None, None)}
    assert len(sizes) == 5
    after = by_id(out)
    assert all(np.array_equal(after[id], before[id]) for id in after if id in before)
    having = ["width" in pq.read_schema(part).names for part in out.glob("part-*")]
    assert sorted(having) == [False, True, True], "as it was, written again, and new"
    rows = sorted(_rows(out), key=lambda row: row["id"])
    summary_of_parts = compact(out)
    assert summary_of_parts.after < summary_of_parts.before
    assert sorted(_rows(out), key=lambda row: row["id"]) == rows
    assert len(evaluate(out).items) == 6
    whole = embed(media / "m.csv", tmp_path / "anew", space=eyes, workers=0)
    assert whole.embedded == 6
    anew = by_id(tmp_path / "anew")
    assert anew.keys() == after.keys()
    assert all(np.abs(anew[id] - after[id]).max() <= 1e-6 for id in anew)


def _rows(out: Path) -> list[dict[str, Any]]:
    return EmbeddingTable.open(out).rows.to_pylist()


def test_columns_of_a_manifest_stand_beside_them_and_rows_are_filtered_by_them(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    write_sound(tmp_path / "short.wav", 1.0, 0)
    write_sound(tmp_path / "long.wav", 5.0, 1)
    (tmp_path / "m.csv").write_text("audio,meta_duration_s\nshort.wav,short\nlong.wav,long\n")
    embed(tmp_path / "m.csv", tmp_path / "out", space=tiny_space_folder, workers=0)
    field = pyarrow.dataset.field
    dataset = pyarrow.dataset.dataset(tmp_path / "out")
    kept = dataset.to_table(filter=(field("duration_s") > 2) & (field("sample_rate") >= 8000))
    assert set(kept["path"].to_pylist()) == {"long.wav"}
    assert set(kept["meta_duration_s"].to_pylist()) == {"long"}
    assert set(kept["duration_s"].to_pylist()) == {5.0}


def test_a_part_whose_columns_another_tool_made_floats_is_read(tmp_path: Path, eyes: Path) -> None:
    write_picture(tmp_path / "media/a.png", 0, (21, 12))
    embed(tmp_path / "media", tmp_path / "out", space=eyes, workers=0)
    (part,) = (tmp_path / "out").glob("part-*.parquet")
    table = pq.read_table(part)
    for name in ("width", "height", "sample_rate"):
        at = table.column_names.index(name)
        table = table.set_column(at, name, table[name].cast(pa.float64()))
    pq.write_table(table, part)
    rows = EmbeddingTable.open(tmp_path / "out").rows
    assert rows.schema.field("width").type == pa.int32()
    assert (rows["width"].to_pylist(), rows["sample_rate"].to_pylist()) == ([21], [None])
