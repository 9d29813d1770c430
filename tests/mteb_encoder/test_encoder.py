"""mteb itself runs a space on small local tasks, and finds what our own arithmetic finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmembed.errors import ConfigError, MediaError, MissingExtraError, SpaceError
from mmembed.mteb_encoder import MtebEncoder
from mmembed.space.space import Space
from tests.conftest import tiny_encoders
from tests.mteb_encoder.conftest import CLASSES, COLUMN, described, encoded, loader, rows

mteb = pytest.importorskip("mteb")
datasets = pytest.importorskip("datasets")
abstasks = pytest.importorskip("mteb.abstasks")


def classification(modality: str, paths: list[str]) -> Any:
    """Make a classification task: the first 24 are its train split, 8 of each class."""
    kind = f"{modality.title()}Classification"

    class Local(abstasks.AbsTaskClassification):
        metadata = described(kind, f"{modality[0]}2c", "accuracy")
        input_column_name = modality
        samples_per_label = 8
        n_experiments = 2

    task = Local()
    labels = [i % CLASSES for i in range(len(paths))]
    task.dataset = datasets.DatasetDict(
        train=rows(modality, paths[:24], label=labels[:24]),
        test=rows(modality, paths[24:], label=labels[24:]),
    )
    task.data_loaded = True
    return task


def retrieval(category: str, queries: list[str], corpus: list[str]) -> Any:
    """Make a retrieval task: relevant is what has the query's class."""

    class Local(abstasks.AbsTaskRetrieval):
        metadata = described("Any2AnyRetrieval", category, "ndcg_at_10")

    task, names = Local(), [f"d{i}" for i in range(len(corpus))]
    query_names = [f"q{i}" for i in range(len(queries))]
    split = {
        "queries": rows(COLUMN[category[0]], queries, id=query_names),
        "corpus": rows(COLUMN[category[2]], corpus, id=names),
        "relevant_docs": {
            query: {name: 1 for j, name in enumerate(names) if (i - j) % CLASSES == 0}
            for i, query in enumerate(query_names)
        },
        "top_ranked": None,
    }
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    return task


def ndcg_at_10(scores: np.ndarray, relevant: np.ndarray) -> float:
    order = np.argsort(-scores, axis=1)[:, :10]
    discount = 1 / np.log2(np.arange(order.shape[1]) + 2)
    gain = np.take_along_axis(relevant, order, 1) @ discount
    ideal = -np.sort(-relevant, axis=1)[:, :10] @ discount
    return float((gain / ideal).mean())


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_mteb_classifies_as_logistic_regression_on_our_vectors_does(
    model: MtebEncoder, media: dict[str, list[str]], modality: str
) -> None:
    from sklearn.linear_model import LogisticRegression

    paths = media[modality]
    results = mteb.evaluate(model, classification(modality, paths), cache=None)
    vectors, labels = model.space.encode(paths), np.arange(len(paths)) % CLASSES
    probe = LogisticRegression(max_iter=100).fit(vectors[:24], labels[:24])
    expected = probe.score(vectors[24:], labels[24:])
    assert 0.0 < expected < 1.0
    assert results.task_results[0].get_score() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("category", ["a2a", "i2a", "v2a"])
def test_mteb_retrieves_as_our_own_cosines_do(
    model: MtebEncoder, media: dict[str, list[str]], category: str, tmp_path: Path
) -> None:
    queries, corpus = media[COLUMN[category[0]]][:7], media[COLUMN[category[2]]][9:]
    task = retrieval(category, queries, corpus)
    results = mteb.evaluate(model, task, cache=None, prediction_folder=tmp_path)
    scores = model.space.encode(queries) @ model.space.encode(corpus).T
    classes = np.subtract.outer(np.arange(len(queries)), np.arange(len(corpus))) % CLASSES
    expected = ndcg_at_10(scores, (classes == 0).astype(float))
    assert 0.0 < expected < 1.0
    # mteb rounds the metrics of retrieval to five digits, but not the cosines
    assert results.task_results[0].get_score() == pytest.approx(round(expected, 5), abs=1e-6)
    said = json.loads((tmp_path / task.prediction_file_name).read_text())["default"]["test"]
    for i, row in enumerate(scores):
        cosines = [said[f"q{i}"][f"d{j}"] for j in range(len(row))]
        assert np.abs(np.array(cosines) - row).max() <= 1e-6


def test_results_are_kept_under_the_fingerprint(
    model: MtebEncoder, media: dict[str, list[str]], tmp_path: Path
) -> None:
    task = retrieval("i2i", media["image"][:4], media["image"][4:12])
    mteb.evaluate(model, task, cache=mteb.ResultCache(tmp_path))
    kept = next(tmp_path.rglob(f"{task.metadata.name}.json")).parent
    assert (kept.parent.name, kept.name) == ("mmembed__tiny", model.space.fingerprint)
    said = json.loads((kept / "model_meta.json").read_text())
    assert said["embed_dim"] == 16
    assert said["modalities"] == ["image", "audio", "video"]
    assert said["similarity_fn_name"] == "cosine"


def test_model_says_what_it_is(tiny_space: Space, tiny_space_folder: Path) -> None:
    from mteb.models import EncoderProtocol

    model = MtebEncoder(tiny_space_folder, device="cpu")
    assert isinstance(model, EncoderProtocol)
    meta = model.mteb_model_meta
    assert (meta.name, meta.revision) == ("mmembed/tiny", tiny_space.fingerprint)
    assert meta.n_parameters == sum(p.numel() for p in tiny_space.parameters())
    assert meta.framework == ["PyTorch", "safetensors"]
    assert meta.experiment_kwargs is None
    assert meta.license is None


@pytest.mark.parametrize(
    ("name", "licence", "shown", "known"),
    [
        ("a b/c", "Apache-2.0", "mmembed/a-b-c", "apache-2.0"),
        ("..", "CC BY 4.0", "mmembed/space", "cc-by-4.0"),
        ("x", "https://example.org/L", "mmembed/x", "https://example.org/L"),
        ("x", "ask me", "mmembed/x", None),
    ],
)
def test_name_and_licence_are_such_as_mteb_takes(
    name: str, licence: str, shown: str, known: str | None
) -> None:
    space = Space({"image": tiny_encoders()["image"]}, dim=4, name=name, licence=licence)
    meta = MtebEncoder(space).mteb_model_meta
    assert (meta.name, meta.license) == (shown, known)


def test_other_settings_are_another_experiment(
    tiny_space: Space, media: dict[str, list[str]]
) -> None:
    short = MtebEncoder(tiny_space, truncate_dim=4, precision="bf16")
    assert short.mteb_model_meta.embed_dim == 4
    assert short.mteb_model_meta.experiment_kwargs == {"precision": "bf16", "truncate_dim": 4}
    paths = media["image"][:3]
    expected = tiny_space.encode(paths, truncate_dim=4, precision="bf16")
    assert np.abs(encoded(short, loader(rows("image", paths))) - expected).max() <= 1e-6
    assert encoded(short, []).shape == (0, 4)


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_vectors_are_those_of_the_files_in_order_in_any_batches(
    model: MtebEncoder, media: dict[str, list[str]], modality: str
) -> None:
    paths = media[modality][:9]
    expected = model.space.encode(paths)
    for size in (1, 4, 50):
        vectors = encoded(model, loader(rows(modality, paths), size), batch_size=size)
        assert vectors.dtype == np.float32
        assert np.abs(vectors - expected).max() <= 1e-6
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert encoded(model, loader(rows(modality, paths).select([]))).shape == (0, 16)


def test_row_of_several_columns_is_the_sum_of_their_vectors(
    model: MtebEncoder, media: dict[str, list[str]]
) -> None:
    pictures, sounds = media["image"][:5], media["audio"][:5]
    both = rows("audio", sounds, image=pictures).cast_column("image", datasets.Image())
    once = iter(
        [{"image": pictures[:3], "audio": sounds[:3]}, {"image": pictures[3:], "audio": sounds[3:]}]
    )
    total = model.space.encode(pictures) + model.space.encode(sounds)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    assert np.abs(encoded(model, loader(both)) - expected).max() <= 1e-6
    assert np.abs(encoded(model, once) - expected).max() <= 1e-6
    shuffled = DataLoader(both, 2, shuffle=True, collate_fn=loader(both).collate_fn)
    cosines = encoded(model, shuffled) @ expected.T
    assert sorted(cosines.argmax(1)) == [0, 1, 2, 3, 4]
    assert np.abs(cosines.max(1) - 1).max() <= 1e-6


def test_similarity_is_the_cosine(model: MtebEncoder, rng: np.random.Generator) -> None:
    first, second = rng.normal(size=(4, 16)), rng.normal(size=(4, 16))
    norms = [np.linalg.norm(v, axis=1, keepdims=True) for v in (first, second)]
    expected = (first / norms[0]) @ (second / norms[1]).T
    similarities = model.similarity(first, torch.from_numpy(second).float())
    assert np.abs(np.asarray(similarities) - expected).max() < 1e-6
    pairs = np.asarray(model.similarity_pairwise(first, second))
    assert np.abs(pairs - np.diag(expected)).max() < 1e-6


def test_modality_without_encoder_is_named(media: dict[str, list[str]]) -> None:
    eyes = MtebEncoder(Space({"image": tiny_encoders()["image"]}, dim=4, name="eyes"))
    message = "mteb task Local: space eyes has no encoder for {}; it embeds image"
    for modality, value in (("audio", media["audio"][0]), ("text", "a dog")):
        with pytest.raises(SpaceError, match=message.format(modality)):
            encoded(eyes, [{"image": [media["image"][0]], modality: [value]}])
    task = retrieval("a2i", media["audio"][:2], media["image"][:4])
    with pytest.raises(ValueError, match=r"mmembed/eyes supports \['image'\]"):
        mteb.evaluate(eyes, task, cache=None)


def test_file_that_fails_is_named_by_its_row(
    model: MtebEncoder, media: dict[str, list[str]]
) -> None:
    torn = {"bytes": Path(media["image"][0]).read_bytes()[:60], "path": "torn.png"}
    batches = [{"image": media["image"][:3]}, {"image": [media["image"][4], torn]}]
    with pytest.raises(MediaError, match=r"^image of row 4 \(torn\.png\): ") as caught:
        encoded(model, batches)
    assert caught.value.stage in ("probe", "decode")
    with pytest.raises(MediaError, match=r"^audio of row 0 \(nowhere\.wav\): no such file"):
        encoded(model, [{"audio": ["nowhere.wav"]}])


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        ({"label": [1], "id": ["q"]}, {}, "mteb task Local: a batch has columns label, id; one of"),
        ({}, {"pages": 3, "max_frames": 2}, "encode_kwargs: max_frames, pages is unknown"),
        ({}, {"precision": "int8"}, "encode_kwargs: precision int8 can't be had"),
    ],
)
def test_misuse_is_named(model: MtebEncoder, batch: dict, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoded(model, [batch], **options)
    with pytest.raises(ConfigError, match="truncate_dim 17: the space has 16 dimensions"):
        MtebEncoder(model.space, truncate_dim=17)


def test_missing_mteb_is_one_line_that_names_the_extra(
    tiny_space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(
        MissingExtraError, match=r"MtebEncoder needs an extra: .*'mmembed\[mteb\]'$"
    ):
        MtebEncoder(tiny_space)


def test_mteb_is_imported_only_when_an_encoder_is_made() -> None:
    program = "import sys, mmembed.mteb_encoder; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"mteb", "datasets", "transformers"} & set(done.stdout.split())
