"""Encoders built from a description: mmembed's own, or of packages that the user trusts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmembed.cli.commands import main
from mmembed.encoders import AudioEncoder, Encoder, ImageEncoder
from mmembed.encoders.description import CLASSES, NAMES, build, describe, is_own
from mmembed.errors import ConfigError, SpaceError
from mmembed.preprocess.base import Preprocess
from mmembed.preprocess.image import ImagePreprocess
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from mmembed.space.space_json import read_card
from tests.embedding.conftest import write_picture
from tests.encoders.contract import concrete_encoders
from tests.space_files import change, copied

OWN = """
import torch
from mmembed.preprocess.image import ImagePreprocess
from mmembed.encoders import Encoder, ImageEncoder


class Tower(Encoder):
    def __init__(self, width: int = 8, pretrained: bool = True, model_args=None, parts=None):
        super().__init__()
        self.width, self.preprocess = width, ImagePreprocess(size=4)
        self.map = torch.nn.Linear(48, width)
        self.given = pretrained, model_args, parts

    def forward(self, values, mask=None):
        return self.map(values.flatten(1).float())


class Nothing:
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's own, that can be imported, and one with a name like it."""
    for name in ("mytowers", "mytowersevil"):
        (tmp_path / "path" / name).mkdir(parents=True)
        (tmp_path / "path" / name / "__init__.py").write_text("")
        (tmp_path / "path" / name / "vision.py").write_text(OWN)
    (tmp_path / "path/mytowers/broken.py").write_text("raise RuntimeError('two\\nlines')")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    yield "mytowers"
    for name in [name for name in sys.modules if name.startswith("mytowers")]:
        del sys.modules[name]


@pytest.fixture
def own_space(package: str, tmp_path: Path) -> Path:
    """A saved space whose encoder is of that package, which is not imported yet."""
    torch.manual_seed(0)
    tower = build(described(), trust=["mytowers"])
    folder = Space({"image": tower}, dim=4, name="own").save(tmp_path / "own")
    for name in [name for name in sys.modules if name.startswith("mytowers")]:
        del sys.modules[name]
    return folder


def described(path: str = "mytowers.vision.Tower", **arguments: object) -> dict:
    return {"class_path": path, "init_args": arguments}


def test_every_class_of_the_package_has_a_name_that_stays() -> None:
    kinds = concrete_encoders()
    assert {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds} <= set(NAMES)
    for name, path in CLASSES.items():
        described = {"class_path": name, "init_args": {}}
        if name != "mmembed.encoders.video.VideoEncoder":
            part = build(described)
            assert f"{type(part).__module__}.{type(part).__qualname__}" == path
            assert isinstance(part, (Encoder, Preprocess))
            assert describe(part)["class_path"] == name
    assert len(NAMES) == len(CLASSES)


def test_class_of_an_untrusted_package_is_not_imported(own_space: Path) -> None:
    for trust in (None, (), "other", ["mytowersevil", "mytow"]):
        with pytest.raises(SpaceError, match=r"Tower is not mmembed's own.*package mytowers") as e:
            load_space(own_space, trust=trust)
        assert e.value.advice == "trust=mytowers"
        assert str(e.value).startswith(f"{own_space}/space.json: encoders.image.class_path: ")
        assert "\n" not in str(e.value)
    assert not [name for name in sys.modules if name.startswith("mytowers")]


def test_trust_holds_for_the_package_and_nothing_that_begins_like_it(own_space: Path) -> None:
    for trust in ("mytowers", "other, mytowers", ["mytowers.vision"]):
        assert load_space(own_space, trust=trust).modalities == ("image",)
    change(own_space, ["encoders", "image", "class_path"], "mytowersevil.vision.Tower")
    with pytest.raises(SpaceError, match="trust it by its name"):
        load_space(own_space, trust="mytowers")
    assert "mytowersevil" not in sys.modules


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("mytowers.vision.Nothing", "is neither an Encoder nor a Preprocess"),
        ("mytowers.vision.torch", "is neither an Encoder nor a Preprocess"),
        ("mytowers.vision.ImageEncoder", "is not defined there, but in mmembed.encoders.image"),
        ("mytowers.vision.Gone", "can't be imported"),
        ("mytowers.nowhere.Tower", "can't be imported"),
        ("mytowers.broken.Tower", "can't be imported: two lines"),
        ("mytowers", "package mytowers, trust it by its name"),
        ("mmembed.cli.commands.main", "is neither an Encoder nor a Preprocess of mmembed"),
        ("mytowers/vision.Tower", "is not the path of a class"),
    ],
)
def test_what_is_no_encoder_of_a_trusted_package_is_named(
    package: str, path: str, says: str
) -> None:
    with pytest.raises(SpaceError, match=says):
        build(described(path), trust=[package, "mmembed"])


def test_trusted_classes_too_are_built_without_pretrained_weights(package: str) -> None:
    inner = described(pretrained=True, model_args={"checkpoint_path": "x", "depth": 2})
    tower = build(
        described(pretrained=True, parts=[{"pretrained": True, "deep": inner}]), trust=[package]
    )
    assert tower.given[0] is False
    part = tower.given[2][0]
    assert part["pretrained"] is False
    assert part["deep"].given[:2] == (False, {"depth": 2})
    assert not is_own(described())
    with pytest.raises(SpaceError, match="refuses the saved arguments: .*colour"):
        build(described(colour=1), trust=[package])
    with pytest.raises(SpaceError, match="Tower can't be built: .*"):
        build(described(width="wide"), trust=[package])
    with pytest.raises(SpaceError, match="model_args.url: 'http.*' is not taken from a space"):
        build(described(model_args={"url": "http://x"}), trust=[package])


def test_commands_take_the_package_by_an_option(
    own_space: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_picture(tmp_path / "media/a.png", 1)
    media, out = str(tmp_path / "media"), str(tmp_path / "out")
    for words in (["embed", media, out, "--workers", "0"], ["bench", media, "--workers", "0"]):
        words += ["--space", str(own_space)]
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "--trust mytowers" in said
        assert said.count("\n") == 1
        assert main([*words, "--trust", "mytowers"]) == 0
        assert main([*words, "--trust", "../mytowers"]) == 2
        assert "--trust ../mytowers: give the name of a package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class_path": "os.system", "init_args": {}}, "is not mmembed's own"),
        (
            {"class_path": "mmembed.encoders.image.ImageEncoder", "init_args": {"colour": 1}},
            "refuses the saved arguments",
        ),
    ],
)
def test_a_bad_description_is_refused(description: dict, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        build(description)


def test_an_argument_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(SpaceError, match="an encoder's argument of this type can't be saved"):
        describe({"value": object()})


def test_pretrained_is_described_as_false() -> None:
    encoder = ImageEncoder("test_vit")
    encoder._arguments["pretrained"] = True
    assert describe(encoder)["init_args"]["pretrained"] is False


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_space_that_began_from_a_checkpoint_loads_without_it(tmp_path: Path, kind: str) -> None:
    first = ImageEncoder("test_vit", preprocess=ImagePreprocess(size=160))
    path = tmp_path / f"start.{kind}"
    weights = {name: t.contiguous() for name, t in first.backbone.state_dict().items()}
    if kind == "pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    began = {"checkpoint_path": str(path), "cache_dir": str(tmp_path), "drop_rate": 0.1}
    encoder = ImageEncoder("test_vit", model_args=began, preprocess=ImagePreprocess(size=160))
    again = encoder.backbone.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    folder = Space({"image": encoder}, dim=4).save(tmp_path / "space")
    path.unlink()
    assert str(tmp_path) not in (folder / "space.json").read_text()
    assert describe(encoder)["init_args"]["model_args"] == {"drop_rate": 0.1}
    loaded = load_space(folder)
    assert loaded.fingerprint == read_card(folder)["fingerprint"]
    # as an earlier version saved it: the path is in the card, and in the fingerprint
    old = copied(folder, tmp_path / "old")
    change(old, ["encoders", "image", "init_args", "model_args"], began)
    assert json.loads((old / "space.json").read_text())["fingerprint"] != loaded.fingerprint
    weights = loaded.state_dict()
    assert all(torch.equal(weights[n], t) for n, t in load_space(old).state_dict().items())


def test_checkpoint_that_would_run_code_is_not_unpickled(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": Runs()}, tmp_path / "start.pth")
    for name, says in (("start.pth", "can't be loaded"), ("gone.pth", "no such file")):
        with pytest.raises(ConfigError, match=rf"checkpoint_path .*{name}: {says}") as caught:
            ImageEncoder("test_vit", model_args={"checkpoint_path": str(tmp_path / name)})
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_input_of_a_model_keeps_its_channels() -> None:
    with pytest.raises(ConfigError, match="model_args.in_chans 1, but its input has 3 channels"):
        ImageEncoder("test_vit", model_args={"in_chans": 1})


def test_arguments_that_could_not_be_loaded_again_are_refused_before_training() -> None:
    ImageEncoder("test_vit", model_args={"norm_layer": "rmsnorm", "img_size": (160, 160)})
    for arguments in ({"block_fn": {"a": 1}}, {"features_only": True}, {"qk_norm": "yes"}):
        for kind in (ImageEncoder, AudioEncoder):
            with pytest.raises(
                SpaceError, match=r"Encoder: model_args.* is not taken from a space"
            ):
                kind("test_vit", model_args=arguments)
