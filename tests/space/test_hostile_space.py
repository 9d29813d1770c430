"""A stranger's space does no harm: loading it runs, fetches and opens nothing of his choice."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmembed.cli.commands import main
from mmembed.errors import SpaceError
from mmembed.space.loading import load_space
from tests.space_files import change, copied

WATCHED = """
import json, os, resource, sys
import mmembed.space.loading

good, *folders = sys.argv[1:]
mmembed.space.loading.load_space(good)  # what is imported on the way is there from now on
allowed, seen, watching = [], [], False
library = tuple(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix))
HARM = ("socket.", "subprocess.", "os.", "shutil.", "urllib.", "ctypes.", "pickle.", "glob.")

def watch(event, arguments):
    if not watching:
        return
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith((allowed[0] + os.sep, *library)):
            seen.append(["open", path])
    elif event == "import" and arguments[0].partition(".")[0] in ("planted", "antigravity"):
        seen.append([event, arguments[0]])
    elif event.startswith(HARM) and event not in ("os.listdir", "os.scandir"):
        seen.append([event, repr(arguments)[:200]])

sys.addaudithook(watch)
for folder in folders:
    allowed[:], seen[:] = [os.path.realpath(folder)], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watching = True
    try:
        mmembed.space.loading.load_space(folder)
        outcome = "loaded"
    except mmembed.errors.MmembedError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = "ESCAPED " + repr(error)
    watching = False
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([os.path.basename(folder), outcome, seen, grown]), flush=True)
"""
IMAGE = ("encoders", "image", "init_args")
FRAMES = ("encoders", "video", "init_args", "image", "init_args")
URL = "http://127.0.0.1:9/usercustomize.py"
SMALL = {"patch_size": 7, "embed_dim": 32, "depth": 1, "num_heads": 2}


def hostile(tmp_path: Path) -> dict[str, list[tuple[tuple, Any]]]:
    """By name, changes to the card of a good space, each meant to do harm."""
    pickle = str(tmp_path / "planted.pth")
    fetch = {"url": URL}
    stolen = {
        "url": {"pretrained_cfg": fetch, "cache_dir": str(tmp_path / "cache")},
        "hub": {"pretrained_cfg": {"hf_hub_id": "stranger/model"}},
        "file": {"pretrained_cfg": {"file": pickle}},
        "overlay": {"pretrained_cfg_overlay": fetch},
        "checkpoint": {"checkpoint_path": pickle},
        "inside": {"pretrained": True, "pretrained_cfg": fetch},
    }
    changes: dict[str, list[tuple[tuple, Any]]] = {}
    for name, arguments in stolen.items():
        for at, where in (("image", IMAGE), ("video", FRAMES)):
            given = ((*where, "model_args"), {**SMALL, **arguments})
            changes[f"{name}-{at}"] = [((*where, "pretrained"), True), given]
    for number, argument in enumerate(
        (
            {"features_only": True},
            {"scriptable": True},
            {"kwargs_filter": ["img_size"]},
            {"norm_layer": "planted.Tower"},
            {"global_pool": "../planted"},
            {"anything": pickle},
            {"anything": {"class_path": "planted.Tower", "init_args": {}}},
            {"block_fn": {"url": URL}},
        )
    ):
        changes[f"argument-{number}"] = [((*IMAGE, "model_args"), {**SMALL, **argument})]
    for number, model in enumerate(
        ("hf-hub:stranger/m", "hf_hub:stranger/m", f"local-dir:{tmp_path}", URL, "../m", "a/b")
    ):
        changes[f"model-{number}"] = [((*IMAGE, "model"), model)]
    for number, path in enumerate(
        (
            "planted.Tower",
            "planted.towers.Tower",
            "os.system",
            "antigravity.Tower",
            "mmembed.cli.commands.main",
            "mmembed.training.module.ContrastiveModule",
            "mmembed.encoders.base.Encoder",
            "torch.nn.Linear",
            "planted",
            "..planted.Tower",
            "",
        )
    ):
        changes[f"class-{number}"] = [(("encoders", "image", "class_path"), path)]
        changes[f"inner-{number}"] = [((*FRAMES[:-1], "class_path"), path)]
    return changes


def absurd() -> dict[str, list[tuple[tuple, Any]]]:
    """By name, changes that describe a model that no machine holds."""
    audio = ("encoders", "audio", "init_args")
    changes: dict[str, list[tuple[tuple, Any]]] = {}
    for key, values in {
        "embed_dim": (10**9, 1 << 16),
        "depth": (10**6, 1 << 16),
        "num_heads": (10**12,),
        "mlp_ratio": (1e300, 65536.0),
        "class_token": (10**400,),
    }.items():
        for value in values:
            name = f"{key}-{str(value)[:9]}"
            changes[name] = [((*IMAGE, "model_args"), {**SMALL, key: value})]
    for key in ("dim", "hidden"):
        changes[f"{key}-huge"] = [((key,), 10**12)]
        changes[f"{key}-large"] = [((key,), 1 << 16)]
    for key, value in (("mels", 1 << 20), ("window_seconds", 1e9), ("step_seconds", 1e17)):
        changes[f"{key}"] = [((*audio, key), value)]
    changes["model"] = [((*IMAGE, "model"), "eva_giant_patch14_224")]
    changes["size"] = [((*IMAGE, "preprocess", "init_args", "size"), 1 << 16)]
    return changes


def loaded_apart(folders: list[Path], good: Path, *path: Path) -> dict[str, list]:
    """Load each in a process that watches itself; return outcome, events and KiB it grew by."""
    root = Path(__file__).parent.parent
    places = os.pathsep.join(str(place) for place in (root, *path))
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(good), *map(str, folders)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [folder.name for folder in folders]
    return {name: rest for name, *rest in lines}


def made(changes: dict[str, list[tuple[tuple, Any]]], good: Path, tmp_path: Path) -> list[Path]:
    folders = []
    for name, edits in changes.items():
        folders.append(copied(good, tmp_path / name))
        for keys, value in edits:
            change(folders[-1], keys, value)
    return folders


def test_nothing_runs_is_fetched_or_opened(tiny_space_folder: Path, tmp_path: Path) -> None:
    planted = tmp_path / "path"
    planted.mkdir()
    (planted / "planted.py").write_text("class Tower: pass\n")
    (tmp_path / "planted.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    changes = hostile(tmp_path)
    folders = made(changes, tiny_space_folder, tmp_path)
    outcomes = loaded_apart(folders, tiny_space_folder, planted)
    for name, (outcome, events, _) in outcomes.items():
        assert events == [], (name, outcome)
        assert "\n" not in outcome, name
        ignored = name.partition("-")[0] in ("url", "hub", "file", "overlay", "checkpoint")
        if ignored or name == "inside-image" or name == "inside-video":
            assert outcome == "loaded", (name, outcome)
        else:
            assert "/space.json: encoders." in outcome, (name, outcome)


def test_a_model_larger_than_its_file_is_refused_before_it_is_made(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    folders = made(absurd(), tiny_space_folder, tmp_path)
    for name, (outcome, _, grown) in loaded_apart(folders, tiny_space_folder).items():
        assert "/space.json: " in outcome, (name, outcome)
        assert not outcome.startswith("ESCAPED"), name
        assert "\n" not in outcome, name
        assert grown < 500 << 10, (name, outcome)


def test_what_is_no_regular_file_of_the_folder_is_refused(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    outside = copied(tiny_space_folder, tmp_path / "outside")
    folders = []
    for name in ("space.json", "model.safetensors"):
        for kind in ("pipe", "socket", "folder", "device", "link", "loop", "gone"):
            folder = copied(tiny_space_folder, tmp_path / f"{kind}-{name}")
            folders.append(folder)
            file = folder / name
            file.unlink()
            if kind == "pipe":
                os.mkfifo(file)
            elif kind == "socket":
                here = os.getcwd()
                os.chdir(folder)  # the name of a socket may not be long
                with socket.socket(socket.AF_UNIX) as server:
                    server.bind(name)
                os.chdir(here)
            elif kind == "folder":
                file.mkdir()
            elif kind == "device":
                file.symlink_to("/dev/zero")
            elif kind == "link":
                file.symlink_to(outside / name)
            elif kind == "loop":
                file.symlink_to(name)
            else:
                file.symlink_to("nothing")
    says = {
        "pipe": "is no regular file",
        "socket": "is no regular file",
        "folder": "is no regular file",
        "device": "is a link that leads out of the space's folder",
        "link": "is a link that leads out of the space's folder",
        "loop": "can't be read",
        "gone": "can't be read",
    }
    for name, (outcome, events, _) in loaded_apart(folders, tiny_space_folder).items():
        kind, _, file = name.partition("-")
        assert f"/{name}/{file}: {says[kind]}" in outcome, name
        assert "\n" not in outcome
        assert events == [], name


def test_links_that_the_user_or_a_hub_cache_made_are_followed(
    tiny_space_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "chosen").symlink_to(tiny_space_folder)
    load_space(tmp_path / "chosen")
    snapshot, blobs = (
        tmp_path / "models--me--tiny/snapshots/1a2b",
        tmp_path / "models--me--tiny/blobs",
    )
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, name in enumerate(("space.json", "model.safetensors")):
        (blobs / str(number)).write_bytes((tiny_space_folder / name).read_bytes())
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    load_space(snapshot)
    inside = copied(tiny_space_folder, tmp_path / "inside")
    (inside / "model.safetensors").rename(inside / "v2.safetensors")
    (inside / "model.safetensors").symlink_to("v2.safetensors")
    load_space(inside)


def test_a_file_without_permission_is_named(tiny_space_folder: Path, tmp_path: Path) -> None:
    for name in ("space.json", "model.safetensors"):
        folder = copied(tiny_space_folder, tmp_path / name)
        (folder / name).chmod(0)
        if os.access(folder / name, os.R_OK):  # root reads all
            load_space(folder)
            continue
        with pytest.raises(SpaceError, match=f"{name}: can't be read"):
            load_space(folder)


def test_the_command_says_it_in_one_line(
    tiny_space_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media/a.png").write_bytes(b"no picture")
    for number, (keys, value) in enumerate(
        [(("fingerprint",), ["x"]), (("dim",), "16"), (("encoders", "image"), None), (("name",), 3)]
    ):
        folder = copied(tiny_space_folder, tmp_path / str(number))
        change(folder, keys, value)
        words = ["embed", str(tmp_path / "media"), str(tmp_path / "out"), "--workers", "0"]
        assert main([*words, "--space", str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"mmembed: error: {folder}/space.json: ")
        assert said.count("\n") == 1
