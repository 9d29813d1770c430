"""language_identification: short texts sorted by their language; from words to a report.

    python pipelines/language_identification.py                        # make, fit, embed, evaluate
    python pipelines/language_identification.py make runs/language_identification/manifest.parquet

The texts are names of emoji in fourteen languages, as the package ``emoji`` ships them
(``sports medal``, ``médaille sportive``, ``メダル``). The label is the language. No emoji
of the test split is in the training split, in any language, nor is one that differs from it in the
gender of people alone. Copy this file and change :func:`make` to classify texts of your own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import emoji
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from commands import fit_embed_evaluate, run_pipeline

LANGUAGES = ("ar", "de", "en", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
SHARES = {"val": 0.1, "test": 0.2}  # of the groups of emoji
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "text", "label", "group", "split")])
SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
WITHOUT_GENDER = str.maketrans("👨👩👦👧", "🧑🧑🧒🧒", "♂♀\u200d\ufe0f")


def make(
    manifest: Path = Path("runs/language_identification/manifest.parquet"),
    seed: int = 0,
    most_emoji: int | None = None,
) -> Path:
    """Write the manifest: a row for each emoji and language.

    Args:
        manifest: where to; replaced if it is there.
        seed: of the split.
        most_emoji: as many are taken, drawn from the seed; None for all.

    Returns:
        its path.
    """
    for language in LANGUAGES:
        emoji.config.load_language(language)
    rng = np.random.default_rng(seed)
    signs = sorted(
        sign
        for sign, about in emoji.EMOJI_DATA.items()
        if about["status"] == emoji.STATUS["fully_qualified"]
        and not SKIN.search(sign)
        and all(language in about for language in LANGUAGES)
    )
    if most_emoji is not None:
        signs = [signs[place] for place in rng.permutation(len(signs))[:most_emoji]]
    groups = {sign: sign.translate(WITHOUT_GENDER) or sign for sign in signs}
    splits = share_groups(sorted({*groups.values()}), rng)
    rows = [
        {
            "id": f"{code_points(sign)}.{language}",
            "text": emoji.EMOJI_DATA[sign][language].replace("_", " ").strip(": "),
            "label": language,
            "group": code_points(groups[sign]),
            "split": splits[groups[sign]],
        }
        for sign in signs
        for language in LANGUAGES
    ]
    manifest.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), manifest)
    print(f"{manifest}: {len(rows):,} texts of {len(signs):,} emoji in {len(LANGUAGES)} languages")
    return manifest


def share_groups(groups: list[str], rng: np.random.Generator) -> dict[str, str]:
    """Return the split of each group, drawn at random."""
    val, test = (round(share * len(groups)) for share in SHARES.values())
    splits = ["val"] * val + ["test"] * test + ["train"] * (len(groups) - val - test)
    return dict(zip((groups[place] for place in rng.permutation(len(groups))), splits, strict=True))


def code_points(sign: str) -> str:
    """Return an emoji as the hexadecimal numbers of its characters."""
    return "-".join(f"{ord(letter):x}" for letter in sign)


def run(
    folder: Path = Path("runs/language_identification"),
    config: Path = Path("configs/language_identification.yaml"),
    seed: int = 0,
    epochs: int | None = None,
    most_emoji: int | None = None,
) -> None:
    """Make the texts, then fit, embed and evaluate with the commands that a user types.

    Args:
        folder: everything is written below it: manifest, space, embeddings, report.
        config: of the training.
        seed: of the split and of the training.
        epochs: of the training; None takes the config's.
        most_emoji: as of ``make``; a hundred make a quick trial.
    """
    manifest = make(folder / "manifest.parquet", seed, most_emoji)
    fit_embed_evaluate(folder, config, manifest, seed, epochs)


def main(words: list[str]) -> None:
    """Run the command that the user typed."""
    run_pipeline("language_identification", words, make, run, "manifest")


if __name__ == "__main__":
    main(sys.argv[1:])
