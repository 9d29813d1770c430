"""Whatever is changed in a space's files, loading gives the space or one line that names it."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mmembed.errors import MmembedError, SpaceError
from mmembed.space.loading import load_space
from mmembed.space.space import Space
from tests.space_files import GONE, change, copied, write_signed

IMAGE, AUDIO, VIDEO = (("encoders", m, "init_args") for m in ("image", "audio", "video"))
PICTURE = (*IMAGE, "preprocess", "init_args")
SOUND = (*AUDIO, "preprocess", "init_args")
CLIP = (*VIDEO, "preprocess", "init_args")


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        (("encoders", "image"), [], "encoders.image: must have class_path and init_args"),
        (("encoders", "image", "init_args"), [], "encoders.image: must have class_path"),
        (("encoders", "image", "class_path"), 3, "3 is not the path of a class"),
        (("encoders", "image", "more"), 3, "encoders.image: must have class_path"),
        (IMAGE, {"colour": 1}, "refuses the saved arguments"),
        (IMAGE, {"\n": 1}, r"refuses the saved arguments"),
        ((*IMAGE, "model"), 3, "encoders.image.model: must be str"),
        ((*IMAGE, "model"), "no_such_model", "timm has no model of this name"),
        ((*IMAGE, "model"), "test_vit.no_such_tag", "Invalid pretrained tag"),
        ((*IMAGE, "model"), "resnet10t", "timm refuses the model_args"),
        ((*IMAGE, "model_args"), [], "encoders.image.model_args: must be"),
        ((*IMAGE, "model_args", "depth"), "1", "model_args.depth: '1' is not taken"),
        ((*IMAGE, "model_args", "depth"), 1 << 17, "model_args.depth: 131072 is not taken"),
        ((*IMAGE, "model_args", "drop_rate"), math.nan, "model_args.drop_rate: nan is not taken"),
        ((*IMAGE, "model_args", "drop_rate"), [[[[1]]]], "drop_rate: .* is not taken"),
        ((*IMAGE, "model_args", "drop_rate"), [1] * 65, "drop_rate: .* is not taken"),
        ((*IMAGE, "model_args", "num_heads"), 0, "encoders.image: .* can't be built"),
        ((*IMAGE, "model_args", "embed_dim"), -32, "encoders.image: .* can't be built"),
        ((*IMAGE, "model_args", "num_classes"), 3, "timm refuses the model_args"),
        ((*IMAGE, "model_args", "in_chans"), 1, "in_chans 1, but its input has 3 channels"),
        ((*IMAGE, "model_args", "a\nb"), 1, r"'a\\nb' is not taken from a space"),
        ((*IMAGE, "model_args", "embed_dim"), 64, "does not fit model.safetensors"),
        ((*IMAGE, "model_args", "depth"), 2, "is nothing in the file"),
        ((*IMAGE, "preprocess"), None, "does not fit model.safetensors"),
        ((*IMAGE, "preprocess"), "x", "encoders.image.preprocess: must be"),
        ((*PICTURE, "size"), 0, "size 0, .* must be positive"),
        ((*PICTURE, "size"), -5, "size -5, .* must be positive"),
        ((*PICTURE, "size"), "a", "preprocess.size: must be int, not 'a'"),
        ((*PICTURE, "size"), 28.0, "preprocess.size: must be int"),
        ((*PICTURE, "mean"), [0.5, 0.5], "mean and std of the preprocess need three values"),
        ((*PICTURE, "mean"), [0.5, 0.5, math.nan], "preprocess.mean: must be"),
        ((*PICTURE, "std"), [], "preprocess: .* can't be built"),
        ((*PICTURE, "crop_fraction"), math.inf, "preprocess.crop_fraction: must be float"),
        ((*PICTURE, "interpolation"), "magic", "preprocess.interpolation: must be"),
        ((*SOUND, "sample_rate"), 0, "sample_rate 0 and bucket_seconds"),
        ((*SOUND, "segment_seconds"), math.nan, "preprocess.segment_seconds: must be float"),
        ((*SOUND, "segment_seconds"), -1, "needs 0 < hop_seconds"),
        ((*AUDIO, "step_seconds"), 0, "AudioEncoder: mels 32, .* must be positive"),
        ((*AUDIO, "floor"), -1.0, "AudioEncoder: mels 32, .* must be positive"),
        ((*AUDIO, "pooling"), "max", "encoders.audio.pooling: must be"),
        ((*AUDIO, "pretrained"), 1, None),
        ((*CLIP, "frames"), 0, "frames 0 must be at least 1"),
        ((*VIDEO, "image"), {}, "encoders.video.image: must be Encoder"),
        ((*VIDEO, "image"), {"class_path": 1, "init_args": {}}, "encoders.video.image.class_path"),
        (("encoders", "video", "init_args", "preprocess"), 0, "encoders.video.preprocess: must be"),
    ],
)
def test_a_wrong_argument_is_named(
    tiny_space_folder: Path, tmp_path: Path, keys: tuple, value: Any, says: str | None
) -> None:
    folder = copied(tiny_space_folder, tmp_path / "space")
    change(folder, keys, value)
    if says is None:
        load_space(folder)
        return
    with pytest.raises(SpaceError, match=rf"space\.json: .*{says}") as caught:
        load_space(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_nesting_without_end_is_refused(eyes: Path, tmp_path: Path) -> None:
    folder = copied(eyes, tmp_path / "space")
    lists: Any = 1
    for _ in range(400):
        lists = [lists]
    encoder = json.loads((eyes / "space.json").read_text())["encoders"]["image"]
    towers = encoder
    for _ in range(30):
        path = "mmembed.encoders.video.VideoEncoder"
        towers = {"class_path": path, "init_args": {"image": towers}}
    for value in ({**encoder, "init_args": {"model": lists}}, towers):
        change(folder, ["encoders", "image"], value)
        with pytest.raises(SpaceError, match="is nested too deep"):
            load_space(folder)


def test_an_encoder_of_another_modality_is_refused(tiny_space_folder: Path, tmp_path: Path) -> None:
    folder = copied(tiny_space_folder, tmp_path / "space")
    card = json.loads((folder / "space.json").read_text())
    change(folder, ["encoders", "audio"], card["encoders"]["image"])
    with pytest.raises(SpaceError, match=r"space\.json: space.encoders.audio: ImageEncoder takes"):
        load_space(folder)


def header_of(content: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def torn_weights(content: bytes) -> dict[str, bytes]:
    header, data = header_of(content)
    first, second = [name for name in header if name != "__metadata__"][:2]
    return {
        "empty": b"",
        "short": content[:7],
        "no header": content[:20],
        "half": content[: len(content) // 2],
        "one byte less": content[:-1],
        "one byte more": content + b"x",
        "length lies": struct.pack("<Q", 1 << 62) + content[8:],
        "garbage": bytes(range(256)) * 64,
        "no text": struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc" + data,
        "list": with_header([], data),
        "overlap": with_header({**header, first: header[second]}, data),
        "type": with_header({**header, first: {**header[first], "dtype": "Q7"}}, data),
        "negative": with_header({**header, first: {**header[first], "shape": [-1]}}, data),
        "huge": with_header(
            {**header, first: {**header[first], "shape": [1 << 62, 1 << 62]}}, data
        ),
    }


def test_torn_weights_are_refused(eyes: Path, tmp_path: Path) -> None:
    content = (eyes / "model.safetensors").read_bytes()
    for name, torn in torn_weights(content).items():
        folder = copied(eyes, tmp_path / name)
        (folder / "model.safetensors").write_bytes(torn)
        with pytest.raises(SpaceError, match=r"model\.safetensors: can't be read: .") as caught:
            load_space(folder)
        assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named(eyes: Path, tmp_path: Path) -> None:
    weights = load_file(eyes / "model.safetensors")
    name = "encoders.image.backbone.blocks.0.attn.qkv.weight"
    changes = {
        f"'{name}' is nothing in the file": {k: v for k, v in weights.items() if k != name},
        "'more' is .* and nothing in the model": {**weights, "more": torch.zeros(1)},
        f"'{name}' is .96, 31. in the file": {**weights, name: weights[name][:, 1:].clone()},
        f"'{name}' is .*float16": {**weights, name: weights[name].half()},
        r"'a\\nb' is .* and nothing in the model": {**weights, "a\nb": torch.zeros(1)},
    }
    for number, (says, tensors) in enumerate(changes.items()):
        folder = copied(eyes, tmp_path / str(number))
        save_file(tensors, folder / "model.safetensors")
        write_signed(folder, json.loads((folder / "space.json").read_text()))
        with pytest.raises(SpaceError, match=rf"does not fit model.safetensors: {says}") as caught:
            load_space(folder)
        assert "\n" not in str(caught.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1 << 16, 1 << 31, 10**30]),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def places_of(node: Any, at: tuple = ()) -> list[tuple]:
    inner = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [at, *(place for key, each in inner for place in places_of(each, (*at, key)))]


def said_of(folder: Path) -> str:
    """Return the error that loading raises; the folder if there is none."""
    try:
        assert isinstance(load_space(folder), Space)
    except MmembedError as error:
        return str(error)
    return str(folder)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_any_change_to_the_files_is_loaded_or_refused_in_a_line(
    tiny_space_folder: Path, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = copied(tiny_space_folder, Path(place) / "space")
        if data.draw(st.booleans()):
            card = json.loads((folder / "space.json").read_text())
            keys = data.draw(st.sampled_from(places_of(card)[1:]))
            change(folder, keys, data.draw(st.one_of(VALUES, st.just(GONE))))
        else:
            file = folder / data.draw(st.sampled_from(["model.safetensors", "space.json"]))
            content = bytearray(file.read_bytes())
            last = data.draw(st.sampled_from([8, 4096, len(content)])) - 1
            for _ in range(data.draw(st.integers(1, 4))):
                content[data.draw(st.integers(0, min(last, len(content) - 1)))] = data.draw(
                    st.integers(0, 255)
                )
            file.write_bytes(content)
        said = said_of(folder)
        assert "\n" not in said
        assert said.startswith(str(folder))
