"""Fields: two of one kind stand beside each other, and each is asked for by its name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from mmembed import embed
from mmembed.encoders import Encoder, ImageEncoder
from mmembed.errors import ConfigError, SpaceError
from mmembed.jobs.bench import bench
from mmembed.preprocess.image import ImagePreprocess
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import read_card
from tests.conftest import tiny_encoders
from tests.space_files import change, copied


def eye() -> ImageEncoder:
    arguments = {"patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2}
    return ImageEncoder(
        "vit_tiny_patch16_224", model_args=arguments, preprocess=ImagePreprocess(size=28)
    )


@pytest.fixture(scope="module")
def cards() -> Space:
    """Two sides of a card, and its sound."""
    torch.manual_seed(2)
    ear = tiny_encoders()["audio"]
    return Space({"sound": ear, "front": eye(), "back": eye()}, dim=8, name="cards").eval()


@pytest.fixture(scope="module")
def cards_folder(cards: Space, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cards.save(tmp_path_factory.mktemp("cards"))


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (30, 40, 3), np.uint8)


def test_fields_are_ordered_by_kind_and_then_as_given(cards: Space) -> None:
    assert list(cards.fields.items()) == [
        ("front", "image"),
        ("back", "image"),
        ("sound", "audio"),
    ]
    assert cards.modalities == ("image", "audio")
    assert list(cards.preprocess) == ["front", "back", "sound"]


def test_usual_spaces_have_a_field_a_kind(tiny_space: Space) -> None:
    assert tiny_space.fields == {"image": "image", "audio": "audio", "video": "video"}


def test_each_field_embeds_with_its_own_encoder(cards: Space, picture: np.ndarray) -> None:
    front, back = cards.encode(picture, "front"), cards.encode(picture, field="back")
    assert np.abs(front - back).max() > 1e-3
    values = torch.from_numpy(cards.preprocess["front"](picture))[None]
    assert np.abs(cards.embed_batch("front", values, None)[0] - front).max() <= 1e-6


def test_an_input_without_a_field_goes_where_there_is_one_choice(cards: Space) -> None:
    sound = (np.sin(np.arange(8000) / 5).astype(np.float32), 8000)
    assert np.array_equal(cards.encode(sound), cards.encode(sound, "sound"))
    assert np.array_equal(cards.encode(sound, "audio"), cards.encode(sound, "sound"))


@pytest.mark.parametrize(
    ("field", "error", "says"),
    [
        (None, ConfigError, "space cards takes image in the fields front, back: name one of them"),
        ("image", ConfigError, "takes image in the fields front, back"),
        ("sound", ConfigError, "field sound takes audio, but an input is image"),
        ("video", SpaceError, "has no encoder for video; it embeds front, back, sound"),
        ("side", SpaceError, "has no encoder for side; it embeds front, back, sound"),
    ],
)
def test_a_field_that_cannot_be_is_named(
    cards: Space, picture: np.ndarray, field: str | None, error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        cards.encode(picture, field)


def test_fields_are_saved_and_loaded(cards: Space, cards_folder: Path, picture: np.ndarray) -> None:
    again = load_space(cards_folder)
    assert again.fields == cards.fields
    assert again.fingerprint == cards.fingerprint
    for field in ("front", "back"):
        assert np.array_equal(again.encode(picture, field), cards.encode(picture, field))
    card = json.loads((cards_folder / "space.json").read_text())
    assert card["fields"] == {"front": "image", "back": "image", "sound": "audio"}
    assert card["modalities"] == ["image", "audio"]


def test_the_card_of_a_usual_space_is_as_ever(tiny_space_folder: Path) -> None:
    assert "fields" not in json.loads((tiny_space_folder / "space.json").read_text())
    assert read_card(tiny_space_folder)["fields"] == {k: k for k in ("image", "audio", "video")}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"front": "image", "back": "image"}, "fields and encoders differ"),
        ([], "fields and encoders differ"),
        ({"front": "image", "back": "smell", "sound": "audio"}, "fields.'back' must be one of"),
        ({"front": "image", "back": ["image"], "sound": "audio"}, "fields.'back' must be one of"),
        ({"front": "image", "back": "video", "sound": "audio"}, "modalities and encoders differ"),
        ({"front": "image", "back": "audio", "sound": "image"}, "but its encoders take"),
    ],
)
def test_fields_of_a_stranger_are_held_to_the_encoders(
    cards_folder: Path, tmp_path: Path, fields: object, says: str
) -> None:
    folder = copied(cards_folder, tmp_path / "copy")
    change(folder, ["fields"], fields)
    with pytest.raises(SpaceError, match=rf"space\.json: .*{says}") as caught:
        load_space(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a.b", "2", "a b", "é", "type", "items", "forward", "a" * 65])
def test_a_name_that_no_field_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be the name of a field: take letters"):
        Space({name: eye()})


def test_a_field_named_for_a_kind_is_of_it() -> None:
    with pytest.raises(ConfigError, match="space.encoders.audio: ImageEncoder takes image"):
        Space({"audio": eye()})


def test_an_encoder_of_no_modality_is_named() -> None:
    class Nose(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.width = 3
            self.preprocess = type("Smell", (), {"modality": "smell"})()

        def forward(self, values: torch.Tensor, mask: object = None) -> torch.Tensor:
            return values

    with pytest.raises(ConfigError, match="space.encoders.nose: smell is no modality; choose"):
        Space({"nose": Nose()})


def test_commands_embed_a_field_of_another_name_and_refuse_two_of_a_kind(
    cards_folder: Path, tmp_path: Path, picture: np.ndarray
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    Image.fromarray(picture).save(media / "a.png")
    soundfile.write(media / "b.wav", np.sin(np.arange(4000) / 5), 8000)
    torch.manual_seed(2)
    one = Space({"side": eye()}, dim=8, name="one").eval()
    summary = embed(media, tmp_path / "out", space=one.save(tmp_path / "one"), workers=0)
    assert (summary.embedded, summary.failed) == (1, 1)
    for job in (
        lambda: embed(media, tmp_path / "two", space=cards_folder, workers=0),
        lambda: bench(media, space=cards_folder),
    ):
        with pytest.raises(ConfigError, match="takes image in (the fields )?front, back"):
            job()
