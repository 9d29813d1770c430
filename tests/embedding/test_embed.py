"""Folders and manifests to datasets: every file accounted for, the same vectors however."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mmembed.embedding.embed import embed
from mmembed.embedding.engines.part_writer import Committed
from mmembed.embedding.progress import EmbedSummary
from mmembed.encoders import ImageEncoder
from mmembed.errors import ConfigError, ManifestError
from mmembed.space.space import Space
from mmembed.store.table import EmbeddingTable, read_errors
from tests.embedding.conftest import write_picture, write_sound
from tests.embedding.faulty_preprocess import FaultyPreprocess


@pytest.fixture(scope="module")
def embedded(
    library: Path, tiny_space_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EmbedSummary, EmbeddingTable]:
    """The library, embedded in one process."""
    out = tmp_path_factory.mktemp("out")
    summary = embed(library, out, space=tiny_space_folder, workers=0, chunk_files=10)
    return summary, EmbeddingTable.open(out)


def test_every_file_has_rows_or_one_error(
    embedded: tuple[EmbedSummary, EmbeddingTable], library: Path
) -> None:
    summary, table = embedded
    files = {
        p.relative_to(library).as_posix()
        for p in library.rglob("*")
        if not p.is_dir() and not any(n.startswith(".") for n in p.relative_to(library).parts)
    }
    rows = set(table.column("path"))
    errors = read_errors(summary.out)["path"].to_pylist()
    assert len(errors) == len(set(errors))
    assert not rows & set(errors)
    assert rows | set(errors) == files
    assert (summary.files, summary.embedded, summary.failed) == (len(files), 21, 5)
    assert summary.hidden == 2


def test_errors_say_stage_and_reason(embedded: tuple[EmbedSummary, EmbeddingTable]) -> None:
    errors = {row["path"]: row for row in read_errors(embedded[0].out).to_pylist()}
    assert {path: row["stage"] for path, row in errors.items()} == {
        "notes.txt": "probe",
        "empty.jpg": "probe",
        "noise.mp4": "probe",
        "nothing.png": "list",
        "photos/torn.png": "decode",
    }
    assert errors["nothing.png"]["message"] == "is a link to nothing"
    assert errors["notes.txt"]["message"]
    assert all(row["attempts"] == 1 and row["error"] for row in errors.values())


def test_what_a_file_is_comes_from_its_content(
    embedded: tuple[EmbedSummary, EmbeddingTable],
) -> None:
    table = embedded[1]
    assert table.column("modality")[table.column("path") == "photos/named.wav"] == ["image"]


def test_long_media_has_a_row_a_segment(embedded: tuple[EmbedSummary, EmbeddingTable]) -> None:
    rows = embedded[1].rows.to_pylist()
    spans = {
        path: [(r["segment_index"], r["start_s"], r["end_s"]) for r in rows if r["path"] == path]
        for path in ("sounds/5.wav", "sounds/0.wav", "clips/deep/2.mp4", "photos/00.png")
    }
    assert spans["sounds/5.wav"] == [(0, 0.0, 2.0), (1, 2.0, 4.0), (2, 4.0, 5.0)]
    assert spans["sounds/0.wav"] == [(0, 0.0, 0.3)]
    assert [s[:2] for s in spans["clips/deep/2.mp4"]] == [(0, 0.0), (1, 2.0), (2, 4.0)]
    assert spans["photos/00.png"] == [(None, None, None)]
    assert embedded[0].rows == {"image": 12, "audio": 8, "video": 5}


def test_vectors_are_those_of_the_space(
    embedded: tuple[EmbedSummary, EmbeddingTable], tiny_space: Space, library: Path
) -> None:
    """A file of several segments: ``encode`` gives the direction of their mean."""
    _, table = embedded
    paths = sorted(set(table.column("path")))
    alone = np.stack([tiny_space.encode(library / path) for path in paths])
    sums = np.stack([table.vectors[table.column("path") == path].sum(0) for path in paths])
    assert np.abs(sums / np.linalg.norm(sums, axis=1, keepdims=True) - alone).max() <= 1e-6
    assert np.abs(np.linalg.norm(table.vectors, axis=1) - 1).max() <= 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2, "batch_size": 3, "chunk_files": 7},
        {"workers": 1, "batch_size": 64},
        {"workers": 0, "batch_size": 1, "chunk_files": 1},
    ],
    ids=str,
)
def test_vectors_do_not_depend_on_batch_chunk_or_workers(
    embedded: tuple[EmbedSummary, EmbeddingTable],
    options: dict,
    library: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
) -> None:
    embed(library, tmp_path, space=tiny_space_folder, **options)
    first, other = embedded[1], EmbeddingTable.open(tmp_path)
    order, others = np.argsort(first.column("id")), np.argsort(other.column("id"))
    assert list(first.column("id")[order]) == list(other.column("id")[others])
    assert np.abs(first.vectors[order] - other.vectors[others]).max() <= 1e-6
    assert len(read_errors(tmp_path)) == 5


def test_two_runs_in_one_process_write_the_same_bytes(
    embedded: tuple[EmbedSummary, EmbeddingTable],
    library: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
) -> None:
    embed(library, tmp_path, space=tiny_space_folder, workers=0, chunk_files=10)
    before = sorted(p for p in embedded[0].out.rglob("*") if p.is_file() and p.name[0] != ".")
    after = [tmp_path / p.relative_to(embedded[0].out) for p in before]
    assert len(before) == 3 + 2 + 1
    assert [p.read_bytes() for p in before] == [p.read_bytes() for p in after]


def test_segments_can_be_asked_for(
    library: Path, tiny_space_folder: Path, tiny_space: Space, tmp_path: Path
) -> None:
    embed(library, tmp_path, space=tiny_space_folder, workers=0, segment="1s")
    table = EmbeddingTable.open(tmp_path)
    of_file = table.column("path") == "sounds/5.wav"
    assert list(table.column("start_s")[of_file]) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert list(table.column("end_s")[of_file]) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert table.provenance.settings["segment_seconds"] == 1.0
    assert table.provenance.settings["hop_seconds"] == 1.0


def test_float16_and_lists_hold_the_same_vectors(
    embedded: tuple[EmbedSummary, EmbeddingTable],
    library: Path,
    tiny_space_folder: Path,
    tmp_path: Path,
) -> None:
    for kind, least in (("float16", 1e-3), ("list", 1e-6)):
        out = tmp_path / kind
        embed(library / "photos", out, space=tiny_space_folder, workers=0, vector_type=kind)
        table, whole = EmbeddingTable.open(out), embedded[1]
        exact = dict(zip(whole.column("path"), whole.vectors, strict=True))
        vectors = np.stack([exact[f"photos/{path}"] for path in table.column("path")])
        assert len(vectors) == 12
        assert np.abs(table.vectors - vectors).max() <= least


def test_a_file_that_kills_or_hangs_its_decoder_costs_only_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    torch.manual_seed(0)
    args = {"patch_size": 14, "embed_dim": 32, "depth": 1, "num_heads": 2}
    encoder = ImageEncoder("vit_tiny_patch16_224", False, args, FaultyPreprocess(size=28))
    space = Space({"image": encoder}, dim=4).save(tmp_path / "space")
    for name in (*"abcdefgh", "crash", "hang", "wrong"):
        write_picture(tmp_path / f"media/{name}.png", len(name))
    write_picture(tmp_path / "media/short.png", 1, (9, 9))  # the model refuses its shape
    out = tmp_path / "out"
    options: dict[str, Any] = {"workers": 2, "timeout": 4, "trust": "tests"}
    summary = embed(tmp_path / "media", out, space=space, **options)
    assert sorted(EmbeddingTable.open(out).column("path")) == [f"{c}.png" for c in "abcdefgh"]
    errors = {row["path"]: row for row in read_errors(out).to_pylist()}
    said = {path: (row["stage"], row["error"]) for path, row in errors.items()}
    assert said == {
        "crash.png": ("decode", "ProcessExpired"),
        "hang.png": ("decode", "TimeoutError"),
        "wrong.png": ("decode", "TypeError"),
        "short.png": ("encode", "RuntimeError"),
    } or said["short.png"][1] in ("AssertionError", "ValueError")
    assert errors["crash.png"]["attempts"] == 2
    assert "signal 9" in errors["crash.png"]["message"]
    assert "made no progress for 4 s" in errors["hang.png"]["message"]
    assert summary.reasons["decode: a mistake in a preprocess"] == 1


def test_a_sound_that_is_not_finite_is_an_error(tiny_space_folder: Path, tmp_path: Path) -> None:
    import soundfile

    write_sound(tmp_path / "media/good.wav", 0.4, 0)
    broken = np.full(4000, np.nan, np.float32)
    soundfile.write(tmp_path / "media/broken.wav", broken, 8000, subtype="FLOAT")
    embed(tmp_path / "media", tmp_path / "out", space=tiny_space_folder, workers=0)
    assert EmbeddingTable.open(tmp_path / "out").column("path") == ["good.wav"]
    errors = read_errors(tmp_path / "out").to_pylist()
    assert [row["path"] for row in errors] == ["broken.wav"]
    assert "finite" in errors[0]["message"] or "NaN" in errors[0]["message"]


@pytest.fixture
def manifest(library: Path, tmp_path: Path) -> Path:
    """Three samples beside a link to the library; a picture is named twice, a sound is missing."""
    (tmp_path / "library").symlink_to(library)
    rows = {
        "id": ["s0", "s1", "s2"],
        "image": ["library/photos/00.png", "./library/photos/00.png", None],
        "audio": ["library/sounds/0.wav", "library/sounds/gone.wav", "library/clips/deep/0.mp4"],
        "video": [None, "library/sounds/1.wav", "library/clips/deep/1.mp4"],
        "label": ["a", "b", None],
        "meta_place": ["here", "there", "nowhere"],
    }
    pq.write_table(pa.table(rows), tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


def test_a_manifest_carries_its_columns_through(
    manifest: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = embed(manifest, out, space=tiny_space_folder, workers=0)
    table = EmbeddingTable.open(out)
    names = ("path", "modality", "sample_id", "label", "meta_place")
    rows = list(zip(*(table.column(n) for n in names), strict=True))
    assert rows == [
        ("library/clips/deep/1.mp4", "video", "s2", None, "nowhere"),
        ("library/photos/00.png", "image", "s0", "a", "here"),
        ("library/sounds/0.wav", "audio", "s0", "a", "here"),
    ]
    errors = {row["path"]: row for row in read_errors(out).to_pylist()}
    assert errors["library/sounds/gone.wav"]["message"] == "no such file"
    assert (
        "by its content, but the manifest says video" in errors["library/sounds/1.wav"]["message"]
    )
    assert errors["library/clips/deep/0.mp4"]["stage"] in ("probe", "decode")
    assert (summary.files, summary.repeated) == (6, 1)


def test_labels_stay_as_the_manifest_says_them_without_embedding_again(
    manifest: Path, tiny_space_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed(manifest, out, space=tiny_space_folder, workers=0)
    before = EmbeddingTable.open(out)
    table = pq.read_table(manifest)
    place = table.column_names.index("label")
    pq.write_table(table.set_column(place, "label", pa.array(["x", "y", "z"])), manifest)
    summary = embed(manifest, out, space=tiny_space_folder, workers=0)
    after = EmbeddingTable.open(out)
    assert (summary.embedded, summary.failed, summary.removed) == (0, 0, 0)
    assert list(after.column("label")) == ["z", "x", "x"]
    assert np.array_equal(after.vectors, before.vectors)


def test_wrong_options_are_named(tiny_space_folder: Path, library: Path, tmp_path: Path) -> None:
    for option in ({"batch_size": 0}, {"workers": -1}, {"memory_mb": 0}, {"max_pixels": 0}):
        ((name, value),) = option.items()
        with pytest.raises(ConfigError, match=f"^{name}={value}: must be at least [01]$"):
            embed(library, tmp_path / "out", space=tiny_space_folder, **option)
    for name in ("timeout", "segment", "hop", "max_duration"):
        with pytest.raises(ConfigError, match=rf"^{name}=0s: give a duration, such as 10s"):
            embed(library, tmp_path / "out", space=tiny_space_folder, **{name: "0s"})
    with pytest.raises(ConfigError, match="unknown option workesr"):
        embed(library, tmp_path / "out", space=tiny_space_folder, workesr=3)
    with pytest.raises(ConfigError, match="^device=cuda:99: "):
        embed(library, tmp_path / "out", space=tiny_space_folder, device="cuda:99")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ManifestError, match="hollow: no files in it"):
        embed(tmp_path / "hollow", tmp_path / "out", space=tiny_space_folder)
    with pytest.raises(ManifestError, match="nowhere: no such folder or manifest"):
        embed(tmp_path / "nowhere", tmp_path / "out", space=tiny_space_folder)


def test_summary_counts_reasons_without_names_and_numbers(tmp_path: Path) -> None:
    summary = EmbedSummary(tmp_path / "out", files=5, kept=1, embedded=1, hidden=2, removed=3)
    for message in ("stops after 3.2 s", "stops after 17 s", "no codec 'abc'\nmore"):
        summary.add(Committed(0, problems=[("decode", message)]))
    summary.rows = Counter({"image": 1})
    assert summary.reasons == {"decode: stops after N s": 2, "decode: no codec …": 1}
    said = str(summary)
    assert "5 files found: 1 embedded, 3 failed, 1 were there already" in said
    assert "2 × decode: stops after N s" in said
    assert "_errors" in said
    assert summary.done == summary.files
