"""The tools that :mod:`peers` compares, where they are installed, and the weights they share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from embed import DIM, listener, space
from safetensors.torch import load_file
from timm.models.vision_transformer import checkpoint_filter_fn

from mmembed.encoders import ImageEncoder, VideoEncoder
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from mmembed.space.space import Space

RUNNERS = Path(__file__).resolve().parent / "peers"
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EVERY = ("image", "audio", "video")


@dataclass
class Environment:
    """Packages installed together, and the project's versions that do not hold for them."""

    packages: list[str]
    unpinned: tuple[str, ...]


@dataclass
class Tool:
    """A tool, what it runs in (None: here), what it can embed, and what to name the version of."""

    name: str
    runner: str
    environment: str | None
    kinds: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def script(self) -> Path:
        """The program that runs it."""
        return RUNNERS / f"{self.runner}.py"


ENVIRONMENTS = {
    "modern": Environment(
        [
            "sentence-transformers>=6",
            "open_clip_torch",
            "daft>=0.7",
            "timm",
            "torchaudio",
            "av",
            "soundfile",
        ],
        ("pyarrow",),  # Daft takes only older ones
    ),
    "clip-retrieval": Environment(
        # a dependency of it imports pkg_resources, which later setuptools lack
        ["clip-retrieval", "setuptools<81"],
        ("numpy", "pandas", "pillow", "pyarrow", "safetensors", "scikit-learn"),  # takes older ones
    ),
}
TOOLS = [
    Tool("mmembed", "run_mmembed", None, EVERY, ()),
    Tool("DataLoader loop", "run_dataloader", "modern", EVERY, ("torch", "open_clip_torch")),
    Tool(
        "sentence-transformers",
        "run_sentence_transformers",
        "modern",
        ("image",),
        ("sentence-transformers", "transformers"),
    ),
    Tool("Daft", "run_daft", "modern", EVERY, ("daft",)),
    Tool(
        "clip-retrieval",
        "run_clip_retrieval",
        "clip-retrieval",
        ("image",),
        ("clip-retrieval", "torch", "open_clip_torch"),
    ),
]


def set_up(venvs: Path) -> dict[str, str]:
    """Make the environments that are not there, and say what is wrong with which."""
    broken = {}
    for name, environment in ENVIRONMENTS.items():
        done, state = venvs / name / "installed.txt", "\n".join(environment.packages)
        if done.is_file() and done.read_text("utf-8") == state:
            continue
        try:
            _install(venvs, name, environment)
            done.write_text(state, "utf-8")
        except RuntimeError as error:
            broken[name] = f"could not be installed: {error}"
    if "modern" in broken:
        sys.exit(f"the environment of the peers {broken['modern']}")  # it makes the weights
    return broken


def _install(venvs: Path, name: str, environment: Environment) -> None:
    call([sys.executable, "-m", "venv", str(venvs / name)])
    pins = venvs / name / "constraints.txt"
    lines = CONSTRAINTS.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(environment.unpinned)]
    pins.write_text("\n".join(kept) + "\n", "utf-8")
    pip = [str(python_of(venvs, name)), "-m", "pip", "install", "--quiet", "-c", str(pins)]
    call([*pip, *environment.packages])


def python_of(venvs: Path, name: str | None) -> Path:
    """Return the interpreter of an environment."""
    return Path(sys.executable) if name is None else venvs.absolute() / name / "bin" / "python"


def versions(venvs: Path, broken: dict[str, str]) -> str:
    """Return the versions of the peers as a sentence."""
    said = []
    program = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    for name in ENVIRONMENTS:
        if name not in broken:
            wanted = [p for tool in TOOLS if tool.environment == name for p in tool.packages]
            versions = call([str(python_of(venvs, name)), "-c", program, *wanted]).split()
            said.append(", ".join(f"{p} {v}" for p, v in zip(wanted, versions, strict=True)))
    return f"Peers: {'; in an environment of its own, '.join(said)}."


def make_weights(weights: Path, venvs: Path) -> None:
    """Make the random model as each tool wants it saved, and mmembed's spaces with it."""
    call([str(python_of(venvs, "modern")), str(RUNNERS / "weights.py"), str(weights)])
    saved = load_file(weights / "clip" / "clip.safetensors")
    picture = tower()
    clip = VideoEncoder(tower(), preprocess=VideoPreprocess(picture.preprocess, frames=8))
    for kind, encoder, vit in (
        ("image", picture, picture.backbone),
        ("video", clip, clip.image.backbone),
    ):
        made = Space({kind: encoder}, dim=DIM)
        state = checkpoint_filter_fn(dict(saved), vit)  # timm's own reading of CLIP's weights
        last = made.projections[kind].layers[-1]
        last.load_state_dict({part: state.pop(f"head.{part}") for part in ("weight", "bias")})
        vit.load_state_dict(state)
        made.eval().save(weights / kind)
    torch.manual_seed(0)
    space(weights / "audio", audio=listener())


def tower() -> ImageEncoder:
    """A ViT-S/16 built and fed as CLIP's are."""
    return ImageEncoder(
        "vit_small_patch16_224",
        model_args={"pre_norm": True},
        preprocess=ImagePreprocess(size=224, mean=MEAN, std=STD),
    )


def call(words: list[str]) -> str:
    """Run a program and return what it printed; what it said last is the error if it fails."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "DAFT_PROGRESS_BAR": "0"}
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **quiet})
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise RuntimeError(lines[-1][:200] if lines else f"exit code {done.returncode}")
    return done.stdout
