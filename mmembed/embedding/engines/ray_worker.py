"""Worker of a Ray cluster: one model, and the decode processes that feed it."""

from __future__ import annotations

import socket
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mmembed.embedding.engines.chunk import Chunk
from mmembed.embedding.engines.part_writer import Committed, PartWriter
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.errors import ConfigError
from mmembed.paths import Place
from mmembed.store.dataset import EmbeddingDataset


@dataclass(frozen=True)
class Task:
    """All that an actor has to know, but the chunks.

    Args:
        space: the files of the space's folder, by name.
        rows: what the rows are.
        limits: what a file may take.
        machine: what the actor may use of its machine.
        root: of the source; every machine has to see it.
        out: the dataset; likewise.
        card: what ``_mmembed.json`` says there.
        version: of this package.
    """

    space: dict[str, bytes]
    rows: RowOptions
    limits: Limits
    machine: Machine
    root: Place
    out: Place
    card: str | None
    version: str = version("mmembed")


class Worker:
    """The actor: one model, and the decode processes that feed it."""

    def load(self, task: Task) -> None:
        """Get ready.

        Raises:
            ConfigError: this machine can't do the task.
            SpaceError: the space can't be loaded.
        """
        host = socket.gethostname()
        own = version("mmembed")
        if task.version != own:
            versions = f"has mmembed {own}, not {task.version}"
            raise ConfigError(f"Ray worker on {host}: {versions}. Install the same on all.")
        if not task.root.exists() or EmbeddingDataset(task.out).card_text() != task.card:
            lacking = task.out if task.root.exists() else task.root
            raise ConfigError(
                f"Ray worker on {host}: does not see {lacking}. Source and output have to be on a "
                "file system that all machines share, or at a URL such as s3://bucket/folder."
            )
        from mmembed.embedding.engines.local import local_engine

        with tempfile.TemporaryDirectory(prefix="mmembed-") as folder:
            for name, content in task.space.items():
                (Path(folder) / name).write_bytes(content)
            self._engine = local_engine(folder, task.rows, task.limits, task.machine)
        self._engine.keep()

    def embed(self, chunk: Chunk, write: PartWriter) -> Committed:
        """Embed a chunk, write it, and return what came of it."""
        (finished,) = (step for step in self._engine.run([chunk]) if isinstance(step, Chunk))
        return write(finished)

    def notes(self) -> list[str]:
        """Return lines on how the chunks were embedded."""
        return self._engine.notes()
