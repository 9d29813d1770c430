"""phrases: short texts of thirteen languages, told apart by a text encoder; from words to a report.

    python pipelines/phrases.py                        # make, fit, embed, evaluate
    python pipelines/phrases.py make runs/phrases/manifest.parquet

The texts are the names of some 3,800 emoji in thirteen languages, as the package ``emoji`` ships
them. The label is the language, and the group the emoji: none of the test split is in training, in
any language. Copy this file and change :func:`make` to classify sentences of your own.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from avdigits import mmembed

from mmembed.cli.arguments import call
from mmembed.errors import MmembedError

LANGUAGES = ("ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
SHARES = {"val": 0.1, "test": 0.2}  # of the emoji
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "text", "label", "group", "split")])


def make(manifest: Path = Path("runs/phrases/manifest.parquet"), seed: int = 0) -> Path:
    """Write the manifest: a row for each emoji and language.

    Args:
        manifest: where to.
        seed: of the split.
    """
    names = {language: emoji_names(language) for language in LANGUAGES}
    emoji = sorted(set.intersection(*(set(each) for each in names.values())))
    places = np.random.default_rng(seed).permutation(len(emoji))
    first, second = (round(share * len(emoji)) for share in SHARES.values())
    rows = []
    for sign, place in zip(emoji, places, strict=True):
        split = "val" if place < first else "test" if place < first + second else "train"
        code = "-".join(f"{ord(letter):x}" for letter in sign)
        for language in LANGUAGES:
            text = names[language][sign]
            rows.append(
                {"id": f"{code}.{language}", "text": text, "label": language, "group": code}
                | {"split": split}
            )
    manifest.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), manifest)
    print(f"{manifest}: {len(rows):,} texts of {len(emoji):,} emoji in {len(LANGUAGES)} languages")
    return manifest


def emoji_names(language: str) -> dict[str, str]:
    """Return the name of each emoji in a language, as words."""
    text = (files("emoji") / "unicode_codes" / f"emoji_{language}.json").read_text("utf-8")
    return {sign: name.strip(":").replace("_", " ") for sign, name in json.loads(text).items()}


def run(
    folder: Path = Path("runs/phrases"),
    config: Path = Path("configs/phrases.yaml"),
    seed: int = 0,
) -> None:
    """Make the texts, then fit, embed and evaluate with the commands that a user types.

    Args:
        folder: everything is written below it.
        config: of the training.
        seed: of the split and the training.
    """
    manifest, space = make(folder / "manifest.parquet", seed), folder / "space"
    options: dict[str, object] = {
        "--config": config,
        "--seed_everything": seed,
        "--data.seed": seed,
        "--data.manifest": manifest,
        "--save_space.folder": space,
        "--trainer.default_root_dir": folder / "fit",
    }
    mmembed("fit", *(word for option in options.items() for word in option))
    mmembed("embed", manifest, folder / f"embeddings-{seed}", "--space", space)
    mmembed("evaluate", folder / f"embeddings-{seed}", "--report", folder / "report")


def main(words: list[str]) -> None:
    """Run ``make`` if that is the first word, and the whole way if not."""
    try:
        if words[:1] == ["make"]:
            call(make, ["phrases.py make", *words[1:]], ("manifest",))
        else:
            call(run, ["phrases.py", *words], ("folder",))
    except MmembedError as error:
        sys.exit(f"phrases: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
