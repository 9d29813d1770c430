"""Commands of mmembed, run one after the other as a user types them, and those of a pipeline."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mmembed.cli.arguments import call
from mmembed.errors import MmembedError


def mmembed(*arguments: object) -> None:
    """Run one ``mmembed`` command, as a user would; end this program if it fails."""
    words = [str(argument) for argument in arguments]
    print("\n$ mmembed " + " ".join(words), flush=True)
    began = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", "mmembed", *words], check=False).returncode
    print(f"mmembed {words[0]}: {time.perf_counter() - began:.0f} s", flush=True)
    if status:
        sys.exit(status)


def fit(folder: Path, config: Path, manifest: Path, seed: int, epochs: int | None) -> Path:
    """Train a space on a manifest.

    Args:
        folder: the space and the training's log are written below it.
        config: of the training.
        manifest: of the samples.
        seed: of all that is random in the training.
        epochs: None takes the config's.

    Returns:
        the folder of the space.
    """
    space = folder / "space"
    options: dict[str, object] = {
        "--config": config,
        "--seed_everything": seed,
        "--data.seed": seed,
        "--data.manifest": manifest,
        "--save_space.folder": space,
        "--trainer.default_root_dir": folder / "fit",
    }
    if epochs is not None:
        options["--trainer.max_epochs"] = epochs
    mmembed("fit", *(word for option in options.items() for word in option))
    return space


def embed(manifest: Path, embeddings: Path, space: Path) -> None:
    """Embed a manifest; vectors of a space that was here before are removed."""
    if (embeddings / "_mmembed.json").exists():
        shutil.rmtree(embeddings)
    mmembed("embed", manifest, embeddings, "--space", space)


def fit_embed_evaluate(
    folder: Path, config: Path, manifest: Path, seed: int, epochs: int | None
) -> None:
    """Train on a manifest as :func:`fit` does, embed the same one, and write the report."""
    space, embeddings = fit(folder, config, manifest, seed, epochs), folder / "embeddings"
    embed(manifest, embeddings, space)
    mmembed("evaluate", embeddings, "--report", folder / "report")


def run_pipeline(
    name: str,
    words: list[str],
    make: Callable[..., object],
    run: Callable[..., object],
    made: str = "folder",
) -> None:
    """Run ``make`` if that is the first word, and the whole way if not.

    Args:
        name: of the pipeline.
        words: that the user typed after it.
        make: makes the data.
        run: goes the whole way, below its ``folder``.
        made: argument of ``make`` that needs no option's name.
    """
    try:
        if words[:1] == ["make"]:
            call(make, [f"{name}.py make", *words[1:]], (made,))
        else:
            call(run, [f"{name}.py", *words], ("folder",))
    except MmembedError as error:
        sys.exit(f"{name}: {error}")
