"""A space: one shared set of unit vectors, saved and loaded without loss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from mmembed.errors import ConfigError, MediaError, SpaceError
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import read_card
from tests.conftest import tiny_encoders
from tests.space_files import copied, write_signed


@pytest.fixture
def media(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    """Six pictures of different sizes and six sounds of different lengths."""
    paths = []
    for i in range(6):
        shape = (20 + 7 * i, 60 - 5 * i, 3)
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(paths[-1])
        paths.append(tmp_path / f"{i}.wav")
        soundfile.write(paths[-1], rng.uniform(-0.5, 0.5, 800 + 3000 * i), 11025)
    return paths


def test_vectors_are_unit_vectors_of_the_shared_dimension(
    tiny_space: Space, media: list[Path]
) -> None:
    vectors = tiny_space.encode(media)
    assert vectors.shape == (12, 16)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


def test_vector_does_not_depend_on_its_batch(tiny_space: Space, media: list[Path]) -> None:
    together = tiny_space.encode(media, batch_size=32)
    for other in (
        np.stack([tiny_space.encode(path) for path in media]),
        tiny_space.encode(media[::-1], batch_size=5)[::-1],
    ):
        assert np.abs(together - other).max() <= 1e-6


def test_path_bytes_and_objects_give_the_same_vector(tiny_space: Space, media: list[Path]) -> None:
    picture, sound = media[0], media[5]
    expected = tiny_space.encode([picture, sound])
    samples, rate = soundfile.read(sound, dtype="float32")
    given = [
        [picture.read_bytes(), sound.read_bytes()],
        [Image.open(picture), (samples, rate)],
        [np.asarray(Image.open(picture)), (torch.from_numpy(samples)[None], rate)],
        [str(picture), str(sound)],
    ]
    for inputs in given:
        assert np.abs(tiny_space.encode(inputs) - expected).max() <= 1e-5


def test_a_single_input_gives_a_single_vector(tiny_space: Space, media: list[Path]) -> None:
    assert tiny_space.encode(media[0]).shape == (16,)
    assert tiny_space.encode(Image.open(media[0])).shape == (16,)
    assert tiny_space.encode([]).shape == (0, 16)


def test_long_sound_is_the_mean_of_its_segments(tiny_space: Space, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    samples = rng.uniform(-0.5, 0.5, 8000 * 5).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", samples, 8000, subtype="FLOAT")
    parts = [(samples[start : start + 16000], 8000) for start in (0, 16000, 32000)]
    mean = tiny_space.encode(parts).sum(0)
    expected = mean / np.linalg.norm(mean)
    for given in (tmp_path / "long.wav", (samples, 8000)):
        assert np.abs(tiny_space.encode(given) - expected).max() < 1e-5


def test_stream_yields_in_order_and_lazily(tiny_space: Space, media: list[Path]) -> None:
    seen = []

    def watched():
        for path in media * 3:
            seen.append(path)
            yield path

    stream = tiny_space.encode_iter(watched(), batch_size=2)
    first = next(stream)
    assert len(seen) < len(media) * 3
    rest = np.stack([first, *stream])
    assert np.abs(rest - np.tile(tiny_space.encode(media), (3, 1))).max() <= 1e-6


def test_truncated_vectors_are_scaled_again(tiny_space: Space, media: list[Path]) -> None:
    whole, short = tiny_space.encode(media), tiny_space.encode(media, truncate_dim=4)
    expected = whole[:, :4] / np.linalg.norm(whole[:, :4], axis=1, keepdims=True)
    assert np.abs(short - expected).max() < 1e-6
    raw = tiny_space.encode(media, truncate_dim=4, normalize=False)
    assert np.abs(raw - whole[:, :4]).max() < 1e-6


def test_bf16_is_close_to_fp32(tiny_space: Space, media: list[Path]) -> None:
    cosine = (tiny_space.encode(media) * tiny_space.encode(media, precision="bf16")).sum(1)
    assert (cosine > 0.99).all()
    assert (cosine < 1.0).any()


def test_bad_input_raises_or_is_skipped_by_name(
    tiny_space: Space, media: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(media[0].read_bytes()[:60])
    with pytest.raises(MediaError, match=r"bad\.png"):
        tiny_space.encode([media[0], bad])
    with pytest.warns(UserWarning, match=r"skipped: .*bad\.png"):
        vectors = tiny_space.encode([media[0], bad, media[1]], on_error="skip")
    assert np.isnan(vectors[1]).all()
    assert not np.isnan(vectors[[0, 2]]).any()


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (np.zeros((4, 4), np.float32), {}, ConfigError, "is not understood"),
        (Image.new("RGB", (4, 4)), {"field": "audio"}, ConfigError, "an input is image"),
        (Image.new("RGB", (4, 4)), {"truncate_dim": 99}, ConfigError, "has 16 dimensions"),
        (Image.new("RGB", (4, 4)), {"batch_size": 0}, ConfigError, "batch_size 0"),
    ],
)
def test_misuse_is_named(
    tiny_space: Space, given: object, options: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        tiny_space.encode([given], **options)


def test_modality_without_encoder_is_named(media: list[Path]) -> None:
    space = Space({"image": tiny_encoders()["image"]}, dim=4, name="eyes").eval()
    with pytest.raises(SpaceError, match="space eyes has no encoder for audio; it embeds image"):
        space.encode(media)


def test_encode_leaves_the_mode_as_it_was(tiny_space: Space, media: list[Path]) -> None:
    space = Space(tiny_encoders(), dim=16, dropout=0.5)
    space.train()
    assert np.array_equal(space.encode(media[0]), space.encode(media[0]))
    assert space.training


def test_saved_space_gives_the_same_vectors(
    tiny_space: Space, media: list[Path], tmp_path: Path
) -> None:
    again = load_space(tiny_space.save(tmp_path / "space"))
    assert np.array_equal(again.encode(media), tiny_space.encode(media))
    assert again.fingerprint == tiny_space.fingerprint
    assert again.preprocess == tiny_space.preprocess
    card = read_card(tmp_path / "space")
    assert card["dim"] == 16
    assert card["modalities"] == ["image", "audio", "video"]
    assert sorted(p.name for p in (tmp_path / "space").iterdir()) == [
        "model.safetensors",
        "space.json",
    ]


def test_fingerprint_sees_weights_preprocessing_and_nothing_else(tiny_space: Space) -> None:
    def made(**changes: object) -> Space:
        torch.manual_seed(7)
        return Space(tiny_encoders(), **{"dim": 16, "name": "tiny", **changes})

    same = tiny_space.fingerprint
    assert made().fingerprint == same
    assert made(name="other", licence="MIT").fingerprint == same
    other = made()
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    assert other.fingerprint != same
    other = made()
    encoder = other.encoders["image"]
    encoder.preprocess = type(encoder.preprocess)(size=28, interpolation="bilinear")
    assert other.fingerprint != same


def test_what_is_no_space_is_refused_by_name(tiny_space_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no such space"):
        load_space(tmp_path / "nowhere")
    with pytest.raises(SpaceError, match="has no space.json"):
        load_space(tmp_path)
    (tmp_path / "space.json").write_text("{")
    with pytest.raises(SpaceError, match="can't be read"):
        load_space(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99 is not the format 1"),
        ({"dim": 8}, "space.json does not fit model.safetensors"),
        ({"fingerprint": "0" * 32}, "do not belong together"),
        ({"hidden": None, "drop": "hidden"}, "has no 'hidden'"),
    ],
)
def test_space_of_another_version_or_mixed_up_is_refused(
    tiny_space_folder: Path, tmp_path: Path, change: dict, message: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_space_folder, folder)
    card = {**json.loads((folder / "space.json").read_text()), **change}
    card.pop(card.pop("drop", ""), None)
    (folder / "space.json").write_text(json.dumps(card))
    with pytest.raises(SpaceError, match=message):
        load_space(folder)


def filled_in_order(space: Space) -> Space:
    for tensor in space.state_dict().values():
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) % 17)
    return space


def test_fingerprint_is_that_of_earlier_versions() -> None:
    space = Space(tiny_encoders("gru"), dim=16, hidden=8, dropout=0.25, name="pinned")
    assert filled_in_order(space).fingerprint == "60df0ff125926ca78971959fe1f66602"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name", ["projections.image.layers.2.weight", "encoders.audio.backbone.bn1.running_var"]
)
def test_space_with_a_value_that_is_not_finite_is_neither_saved_nor_loaded(
    tiny_space_folder: Path, tmp_path: Path, name: str, value: float
) -> None:
    folder = copied(tiny_space_folder, tmp_path / "space")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    space = load_space(folder)
    space.state_dict()[name].view(-1)[-1] = value
    for place in (folder, tmp_path / "new"):
        says = rf"{place}: not saved, since {name} holds NaN or infinity. .*model.optimizer.lr"
        with pytest.raises(SpaceError, match=says):
            space.save(place)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()
    weights = {key: tensor.contiguous() for key, tensor in space.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    write_signed(folder, json.loads((folder / "space.json").read_text()))
    with pytest.raises(SpaceError, match=rf"model\.safetensors: {name} holds NaN or infinity"):
        load_space(folder)


def test_saving_follows_no_link_that_lies_in_the_folder(tiny_space: Space, tmp_path: Path) -> None:
    folder, mine = tmp_path / "space", tmp_path / "mine.txt"
    folder.mkdir()
    mine.write_text("mine")
    for name in ("model.safetensors", "space.json"):
        (folder / name).symlink_to(mine)
        (folder / f"{name}.partial").symlink_to(mine)
        (folder / f".{name}.partial").symlink_to(mine)
    assert load_space(tiny_space.save(folder)).fingerprint == tiny_space.fingerprint
    assert mine.read_text() == "mine"


def test_space_without_weights_is_refused(tiny_space_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_space_folder, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(SpaceError, match="no model.safetensors"):
        load_space(folder)
