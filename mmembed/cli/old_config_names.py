"""Class paths and keys that training configs of the version before may have, and today's names.

They work in this version alone; each is named in a line.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from mmembed.errors import ConfigError

CLASS_PATHS = {
    "mmembed.space.Space": "mmembed.space.space.Space",
    "mmembed.data.datamodule.MediaDataModule": "mmembed.training.datamodule.MediaDataModule",
    "mmembed.data.preprocess.ImagePreprocess": "mmembed.preprocess.image.ImagePreprocess",
    "mmembed.data.preprocess.AudioPreprocess": "mmembed.preprocess.audio.AudioPreprocess",
    "mmembed.data.preprocess.VideoPreprocess": "mmembed.preprocess.video.VideoPreprocess",
    "mmembed.training.validation.VectorCollector": (
        "mmembed.training.validation_metrics.VectorCollector"
    ),
}
KEYS = {
    "model.learning_rate": "model.optimizer.init_args.lr",
    "model.weight_decay": "model.optimizer.init_args.weight_decay",
    "model.warmup_share": "model.schedule.init_args.warmup_share",
    "data.num_workers": "data.loading.num_workers",
    "data.cache_mb": "data.loading.cache_mb",
    "data.on_error": "data.loading.on_error",
    "optimizer": "model.optimizer",
    "lr_scheduler": "model.schedule",
}
AUDIO_AUGMENT = (
    "AudioAugment",
    "mmembed.data.augment.AudioAugment",
    "mmembed.data.augment.sound.AudioAugment",
)
AUDIO_STEPS = {  # by class, its arguments by those of AudioAugment, in the order of the steps
    "AudioDynamics": {"sample_rate": "sample_rate", "dynamics": "exponent"},
    "AudioTiming": {
        name: name for name in ("sample_rate", "crop", "speed_semitones", "silence_seconds")
    },
    "AudioFilter": {
        name: name
        for name in ("sample_rate", "aliasing", "equaliser_db", "pass_band_hz", "reverb_seconds")
    },
    "AudioNoise": {"snr_db": "snr_db"},
    "AudioGain": {"gain_db": "gain_db"},
}


def renamed_config(config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a config with today's names, and a line for each old one in it.

    Raises:
        ConfigError: a key is set under its old name and under today's.
    """
    lines: list[str] = []
    renamed = _renamed_classes(copy.deepcopy(config), lines)
    for old, new in KEYS.items():
        _move(renamed, old, new, lines)
    data = renamed.get("data")
    augment: Any = data.get("augment") if isinstance(data, dict) else None
    for modality, part in augment.items() if isinstance(augment, dict) else ():
        if isinstance(part, dict) and part.get("class_path") in AUDIO_AUGMENT:
            place = f"data.augment.{modality}"
            augment[modality] = steps = _audio_steps(part.get("init_args") or {}, place)
            names = ", ".join(step["class_path"] for step in steps)
            lines.append(_line(f"{place}: AudioAugment", f"a list: {names or 'an empty one'}"))
    return renamed, lines


def renamed_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Return words of the command line with today's names, and a line for each old one."""
    lines: list[str] = []
    renamed = []
    for word in words:
        for old, new in KEYS.items():
            if re.match(rf"--{re.escape(old)}(?=[.=]|$)", word):
                word = f"--{new}{word[2 + len(old) :]}"
                lines.append(_line(old, new))
        for old, new in CLASS_PATHS.items():
            word, count = re.subn(rf"(?<![\w./]){re.escape(old)}(?![\w.])", new, word)
            lines += [_line(old, new)] * bool(count)
        renamed.append(word)
    return renamed, lines


def _line(old: str, new: str) -> str:
    return f"{old} is now {new}; the old name works in this version only"


def _renamed_classes(part: Any, lines: list[str]) -> Any:
    if isinstance(part, dict):
        return {key: _renamed_classes(value, lines) for key, value in part.items()}
    if isinstance(part, list):
        return [_renamed_classes(value, lines) for value in part]
    if isinstance(part, str) and part in CLASS_PATHS:
        lines.append(_line(part, CLASS_PATHS[part]))
        return CLASS_PATHS[part]
    return part


def _move(config: dict[str, Any], old: str, new: str, lines: list[str]) -> None:
    *parents, last = old.split(".")
    holder: Any = config
    for name in parents:
        holder = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or last not in holder:
        return
    value = holder.pop(last)
    if value is None:
        return
    *parents, last = new.split(".")
    holder = config
    for name in parents:
        if holder.get(name) is None:
            holder[name] = {}
        holder = holder[name]
        if not isinstance(holder, dict):
            break
    if not isinstance(holder, dict) or holder.get(last) is not None:
        raise ConfigError(f"{old}: is now {new}, which is set too; keep that one")
    holder[last] = value
    lines.append(_line(old, new))


def _audio_steps(arguments: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """Return the steps that do together what ``AudioAugment`` did, in its order."""
    known = {old for names in AUDIO_STEPS.values() for old in names}
    for name in arguments:
        if name not in known:
            raise ConfigError(f"{place}.{name}: AudioAugment has no such argument")
    steps = []
    for class_name, names in AUDIO_STEPS.items():
        given = {new: arguments[old] for old, new in names.items() if arguments.get(old)}
        if set(given) - {"sample_rate"}:
            steps.append({"class_path": class_name, "init_args": given})
    return steps
