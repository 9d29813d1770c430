from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
sys.path.insert(0, str(PIPELINES))
pytest.importorskip("mlxtend")
pytest.importorskip("espeakng_loader")

import avdigits  # noqa: E402
import avdigits_clips as clips  # noqa: E402
import avdigits_rows as planning  # noqa: E402
import avdigits_speech as speech  # noqa: E402
import avdigits_words as wording  # noqa: E402
import commands  # noqa: E402

from mmembed.errors import ManifestError  # noqa: E402
from mmembed.store.manifest import read_manifest  # noqa: E402

SPEAKERS = ("ann", "bob", "cyd")


def make(folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(PIPELINES / "avdigits.py"), "make", str(folder)]
    words += [str(option) for option in options]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "manifest.parquet").to_pylist()


def voices_of(rows: list[dict[str, Any]], split: str) -> set[str]:
    names = [row["audio"] for row in rows if row["split"] == split]
    return {Path(name).stem.split("-", 2)[2] for name in names if name is not None}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avdigits") / "media"
    made = make(folder, "--images", 200, "--workers", 1)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for digit in range(10):
        for speaker in SPEAKERS:
            for take in (0, 1, 2):
                noise = rng.normal(0, 0.1, (2000, 2))
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", noise, 8000)
    (folder / "readme.txt").write_text("not a recording")
    return folder


def test_every_path_of_the_manifest_is_a_file_and_every_file_is_in_it(media: Path) -> None:
    rows = rows_of(media)
    named = {row[kind] for row in rows for kind in ("image", "audio", "video")} - {None}
    there = {
        path.relative_to(media).as_posix()
        for kind in ("image", "audio", "video")
        for path in (media / kind).iterdir()
    }
    assert named == there
    assert pq.read_schema(media / "manifest.parquet").names == (
        ["id", "image", "audio", "video", "text", "label", "group", "split"]
    )


def test_every_digit_is_in_every_split_and_labels_are_digits(media: Path) -> None:
    rows = rows_of(media)
    for split in ("train", "val", "test"):
        labels = {row["label"] for row in rows if row["split"] == split}
        assert labels == {str(digit) for digit in range(10)}
    assert len({row["id"] for row in rows}) == len(rows) == 200


def test_some_rows_lack_a_modality_and_none_lacks_all(media: Path) -> None:
    present = [
        sum(row[kind] is not None for kind in ("image", "audio", "video")) for row in rows_of(media)
    ]
    assert min(present) >= 1
    assert 0.5 < np.mean(np.array(present) == 3) < 0.95


def test_no_voice_is_in_two_splits(media: Path) -> None:
    rows = rows_of(media)
    voices = [voices_of(rows, split) for split in ("train", "val", "test")]
    assert all(voices)
    assert sum(map(len, voices)) == len(set().union(*voices))


def test_phrases_name_the_digit_and_none_that_is_judged_is_in_two_rows(
    media: Path,
) -> None:
    phrases: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    labels: dict[str, set[str]] = {}
    judged: list[str] = []
    for row in rows_of(media):
        fewest, most = wording.PHRASES[row["split"]]
        texts = row["text"] or []
        if row["split"] == "train":
            assert fewest <= len(texts) <= most
        else:
            judged += (text.lower() for text in texts)
        for text in texts:
            phrases[row["split"]].add(text.lower())
            labels.setdefault(text.lower(), set()).add(row["label"])
    assert all(phrases.values())
    assert sum(map(len, phrases.values())) == len(set().union(*phrases.values()))
    assert all(len(named) == 1 for named in labels.values())
    assert len(set(judged)) == len(judged) > 20


def test_manifest_with_phrases_is_read_as_samples_with_several_texts(media: Path) -> None:
    table = read_manifest(media / "manifest.parquet")
    assert table["text"].to_pylist() == [row["text"] for row in rows_of(media)]


def test_no_picture_is_in_two_rows(media: Path) -> None:
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (media / "image").iterdir()]
    assert len(set(digests)) == len(digests)


def test_pictures_are_handwriting_and_sounds_are_heard(media: Path) -> None:
    for path in (media / "image").iterdir():
        pixels = np.asarray(Image.open(path))
        assert pixels.shape == (28, 28)
        assert pixels.max() > 200
    for path in (media / "audio").iterdir():
        samples, rate = soundfile.read(path)
        assert rate == 22050
        assert 0.1 < len(samples) / rate < 2
        assert np.abs(samples).max() > 0.03


def test_videos_are_h264_that_moves_and_about_half_have_an_aac_track(media: Path) -> None:
    voiced = 0
    paths = sorted((media / "video").iterdir())
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            voiced += len(container.streams.audio)
            assert all(s.codec_context.name == "aac" for s in container.streams.audio)
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
            assert len(frames) == clips.FRAMES
            assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1
    assert 0.3 < voiced / len(paths) < 0.7


def test_same_seed_makes_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = make(tmp_path / name, "--images", 30, "--seed", seed, "--workers", 2)
        assert made.returncode == 0, made.stderr
        files = sorted(path for path in (tmp_path / name).rglob("*.*") if path.suffix != ".json")
        contents.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert contents[0] == contents[1]
    assert contents[0].keys() != contents[2].keys()


def test_media_made_with_these_settings_is_kept_and_with_others_is_made_anew(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "media"
    make(folder, "--images", 30)
    stamp = (folder / "avdigits.json").stat().st_mtime_ns
    assert "complete" in make(folder, "--images", 30).stdout
    assert (folder / "avdigits.json").stat().st_mtime_ns == stamp
    make(folder, "--images", 40)
    assert json.loads((folder / "avdigits.json").read_text())["images"] == 40
    assert len(rows_of(folder)) == 40


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    made = make(tmp_path, "--images", 30)
    assert made.returncode == 1
    assert "not empty, and not made by avdigits. Name another folder." in made.stderr
    assert "Traceback" not in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_recordings_take_the_place_of_synthetic_voices(tmp_path: Path, recordings: Path) -> None:
    options = ("--images", 100, "--speech", recordings, "--test-speaker", "bob")
    made = make(tmp_path / "media", *options)
    assert made.returncode == 0, made.stderr
    rows = rows_of(tmp_path / "media")
    assert voices_of(rows, "test") == {"bob"}
    assert voices_of(rows, "train") == voices_of(rows, "val") == {"ann", "cyd"}
    assert sum(row["audio"] is not None for row in rows) == 90
    for row in rows:
        if row["audio"] is not None:
            samples, rate = soundfile.read(tmp_path / "media" / row["audio"])
            assert (rate, samples.shape) == (8000, (2000,))


def test_all_recordings_can_be_the_test_of_synthetic_voices(
    tmp_path: Path, recordings: Path
) -> None:
    options = ("--images", 100, "--speech", recordings, "--test-speaker", "all")
    assert make(tmp_path / "media", *options, "--utterances", 3).returncode == 0
    rows = rows_of(tmp_path / "media")
    heard_alone = {"image": None, "video": None, "split": "train"}
    more = [row for row in rows if all(row[name] == value for name, value in heard_alone.items())]
    paired = [row for row in rows if row["split"] == "train" and row not in more]
    assert 2 * len(paired) <= len(more) <= 2 * len(paired) + 10
    assert all(row["audio"] for row in more)
    assert len({row["group"] for row in rows}) == len(rows)
    assert voices_of(rows, "test") == set(SPEAKERS)
    assert not voices_of(rows, "train") & set(SPEAKERS)
    assert sum(row["audio"] is not None for row in rows if row["split"] == "test") == 90


def test_synthetic_voices_join_recordings_in_training_alone(
    tmp_path: Path, recordings: Path
) -> None:
    options = ("--images", 100, "--speech", recordings, "--test-speaker", "bob")
    assert make(tmp_path / "media", *options, "--utterances", 1).returncode == 0
    rows = rows_of(tmp_path / "media")
    assert voices_of(rows, "test") == {"bob"}
    assert voices_of(rows, "val") == {"ann", "cyd"}
    synthetic = voices_of(rows, "train") - {"ann", "cyd"}
    assert len(synthetic) > 10
    added = [
        row for row in rows if row["audio"] and row["audio"].split("-")[-1][:3] not in SPEAKERS
    ]
    assert all(row["image"] is row["video"] is None for row in added)
    drawn = {row["image"] or row["video"] for row in rows if row["split"] == "train"} - {None}
    assert len(added) == pytest.approx(len(drawn), abs=5)
    assert sum(row["audio"] is not None for row in rows) == 90 + len(added)


def test_an_unknown_speaker_is_refused_with_the_names_there_are(recordings: Path) -> None:
    listed = speech.list_recordings(recordings)
    assert len(listed) == 90
    with pytest.raises(
        ManifestError, match=r"leaves no recording for test\. The speakers are ann, bob"
    ):
        planning.share_recordings(listed, "dan")


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no recording here. Name them \{digit\}_"):
        speech.list_recordings(tmp_path)


CONFIGS = sorted((ROOT / "configs").glob("avdigits*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=[c.stem for c in CONFIGS])
def test_the_command_that_opens_a_config_trains_by_that_config(
    config: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = config.read_text().replace("\\\n#", "").splitlines()
    (shown,) = (line for line in lines if line.startswith("#     python pipelines/avdigits.py"))
    words = shown.split("avdigits.py")[1].split("  ")[0].split()
    made, ran = [], []
    monkeypatch.setattr(avdigits, "make", lambda *given: made.append(given) or Path("rows.parquet"))
    monkeypatch.setattr(commands, "mmembed", lambda *given: ran.append(list(map(str, given))))
    avdigits.main(words)
    assert [command[0] for command in ran] == ["fit", "embed", "evaluate"]
    assert ran[0][1:3] == ["--config", f"configs/{config.name}"]
    folder, speech, speaker, seed, images, utterances = made[0]
    assert folder == Path("runs") / config.stem / "media"
    assert (speech is None) == ("--speech" not in words)
    assert (speaker is None) == ("--test-speaker" not in words)
    assert (seed, images) == (0, 5000)
    assert (utterances is not None) == ("--utterances" in words)


def test_a_mistyped_option_of_the_pipeline_is_one_line() -> None:
    with pytest.raises(SystemExit, match=r"avdigits: unknown option .* did you mean --images\?"):
        avdigits.main(["--imags", "3"])
