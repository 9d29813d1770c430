"""``mmembed fit | validate | test | predict``: LightningCLI over a contrastive module and media.

Everything of Lightning's trainer, of :class:`~mmembed.training.module.ContrastiveModule` and of
:class:`~mmembed.training.datamodule.MediaDataModule` is an option and a config key.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ActionConfigFile, Namespace, get_loader
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

import mmembed.data.augment
import mmembed.encoders  # noqa: F401
from mmembed.cli.arguments import explain, option_names, underscored
from mmembed.cli.old_config_names import renamed_config, renamed_words
from mmembed.errors import ConfigError, MmembedError
from mmembed.errors.plain_text import plain_lines, say
from mmembed.training.callbacks import EpochLines, SaveSpace
from mmembed.training.datamodule import MediaDataModule
from mmembed.training.module import ContrastiveModule
from mmembed.training.optim import ADAMW

QUIET = (
    r".*LightningCLI's args parameter is intended.*",
    r".*does not have many workers.*",
    r".*`IterableDataset` has `__len__` defined.*",
    r".*number of training batches.*is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*The dirpath has changed from .*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*Precision bf16-mixed is not supported by the model summary.*",
    r".*You defined a `validation_step` but have no `val_dataloader`.*",
    r".*Total length of `.*` across ranks is zero.*",
    r".*lr_scheduler.step\(\)` before `optimizer.step\(\)`.*",
    r".*The '.*_dataloader' does not have many workers.*",
)


class Parser(LightningArgumentParser):
    """A parser that takes old names, and raises one clear line instead of printing a page."""

    def parse_string(self, content: str, *arguments: Any, **options: Any) -> Namespace:
        """Parse the text of a config, whose names may be those of the version before."""
        config = get_loader("yaml")(content)
        renamed, lines = renamed_config(config) if isinstance(config, dict) else ({}, [])
        text = yaml.safe_dump(renamed, sort_keys=False) if lines else content
        return super().parse_string(text, *arguments, **options)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise the message as a :class:`ConfigError`."""
        if isinstance(ex, MmembedError):
            raise ex
        raise explain(ex if ex is not None and str(ex) else ValueError(message), option_names(self))


class TrainingCLI(LightningCLI):
    """LightningCLI whose data takes its preprocessing from the model's encoders."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser whose errors are one line."""
        parser = Parser(**kwargs)
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="a YAML file of options; repeatable"
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the saving of the space, the usual optimizer and schedule, and the preprocesses."""
        parser.add_lightning_class_args(SaveSpace, "save_space")
        parser.set_defaults(
            {
                "save_space.folder": "runs/space",
                "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": ADAMW},
                "model.schedule": {"class_path": "mmembed.training.optim.WarmupCosine"},
            }
        )
        parser.link_arguments(
            "model",
            "data.preprocess",
            compute_fn=lambda model: model.space.preprocess,
            apply_on="instantiate",
        )

    def before_instantiate_classes(self) -> None:
        """Let ``--ckpt_path last`` be the newest checkpoint of this config's runs."""
        job = self.config.get(self.subcommand, {})
        if job.get("ckpt_path") == "last":
            job["ckpt_path"] = str(_newest_checkpoint(job.trainer.default_root_dir or "runs"))

    def instantiate_classes(self) -> None:
        """Make trainer, model and data; a checkpoint has what the data's preprocesses learnt."""
        super().instantiate_classes()
        if self.config.get(self.subcommand, {}).get("ckpt_path"):
            self.datamodule.learns = False

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Any:
        """Print a line an epoch, keep its weights, and log, unless something else was chosen.

        A processor without bf16 takes many times as long over it, so it trains in fp32 there.
        """
        on_cpu = config.get("accelerator") in ("auto", "cpu") and not torch.cuda.is_available()
        if config.get("precision") == "bf16-mixed" and on_cpu and not has_bf16():
            config["precision"] = "32-true"
            say("mmembed: this processor has no bf16; training in fp32 instead", sys.stderr)
        callbacks = [*callbacks, EpochLines()]
        given = config.get("callbacks") or []
        chosen = any(isinstance(callback, ModelCheckpoint) for callback in given)
        if config.get("enable_checkpointing") is not False and not chosen:
            # Lightning's own would wait for a validation, which may come every tenth epoch only
            callbacks.append(ModelCheckpoint(save_on_train_epoch_end=True))
        if config.get("logger") in (None, True) and not config.get("fast_dev_run"):
            root = config.get("default_root_dir") or "runs"
            board = TensorBoardLogger(root, name="log")
            config["logger"] = [board, CSVLogger(root, name="log", version=board.version)]
        return super()._instantiate_trainer(config, callbacks)


def run(words: list[str]) -> int:
    """Run one of Lightning's subcommands; ``words`` are its name and its arguments.

    Raises:
        ConfigError: an option or config key that can't be used.
        KeyboardInterrupt: stopped by the user; Lightning has cleaned up.
    """
    configs = _read_configs(words)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    shape, warnings.formatwarning = warnings.formatwarning, _one_line
    try:
        with warnings.catch_warnings():
            for pattern in QUIET:
                warnings.filterwarnings("ignore", pattern)
            TrainingCLI(
                ContrastiveModule,
                MediaDataModule,
                args=_todays_words([underscored(word) for word in words], configs),
                auto_configure_optimizers=False,
                seed_everything_default=0,
                save_config_kwargs={"overwrite": True},
                trainer_defaults={
                    "enable_model_summary": False,
                    "enable_progress_bar": sys.stdout.isatty(),
                    "log_every_n_steps": 10,
                },
                parser_kwargs={"prog": "mmembed"},
            )
    except ConfigError as error:
        raise ConfigError(f"{_place(words, str(error))}{error}", advice=error.advice) from None
    except ValueError as error:  # of a class that a config chose, said while it was made
        if isinstance(error.__cause__, MmembedError):
            raise error.__cause__ from None
        raise
    except FileNotFoundError as error:
        if "Checkpoint" not in str(error):
            raise
        raise ConfigError(f"--ckpt-path {str(error).split(': ')[-1]}: no such file") from None
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise ConfigError(
            "--ckpt_path: the checkpoint is of another model than the config"
        ) from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise stop.__context__ from None
        raise
    finally:
        warnings.formatwarning = shape
    return 0


def has_bf16() -> bool:
    """Return whether this processor has instructions for bf16."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _newest_checkpoint(root: str) -> Path:
    checkpoints = Path(root).glob("log/version_*/checkpoints/*.ckpt")
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise ConfigError(
            f"--ckpt_path last: no checkpoint below {root}/log. Run fit first, or name a file."
        )
    return newest


def _one_line(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    return f"mmembed: warning: {plain_lines(message)}\n"


def _todays_words(words: list[str], configs: list[dict[str, Any]]) -> list[str]:
    """Return words with today's names, and say each old name, those in the configs too."""
    renamed, lines = renamed_words(words)
    for config in configs:
        lines += renamed_config(config)[1]
    for line in dict.fromkeys(lines):
        say(f"mmembed: {line}", sys.stderr)
    return renamed


def _configs(words: list[str]) -> list[Path]:
    pairs = zip(words, [*words[1:], ""], strict=True)
    split = [(*flag.partition("=")[::2], value) for flag, value in pairs]
    return [Path(joined or value) for name, joined, value in split if name in ("--config", "-c")]


def _place(words: list[str], message: str) -> str:
    """Return ``file:line: `` of the key that a message is about, if a config file has it."""
    named = re.search(r"(?:config key|no class) ([\w.]+)", message)
    key = named.group(1) if named else message.partition(": ")[0]
    if any(word.startswith(f"--{key}") for word in words):
        return ""
    last = re.escape(key.rpartition(".")[2])
    for path in _configs(words):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if re.search(rf"(?<![\w.]){last}(?![\w.])", line.partition("#")[0]):
                return f"{path}:{number}: "
    return ""


def _read_configs(words: list[str]) -> list[dict[str, Any]]:
    """Refuse a config file that is missing or no YAML, before anything heavy starts."""
    configs = []
    for path in _configs(words):
        if not path.is_file():
            raise ConfigError(f"--config {path}: no such file")
        try:
            config = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            first = " ".join(str(error).split())[:200]
            raise ConfigError(f"--config {path}: not YAML: {first}") from None
        if not isinstance(config, dict):
            raise ConfigError(f"--config {path}: holds no keys such as model and data")
        configs.append(config)
    return configs
