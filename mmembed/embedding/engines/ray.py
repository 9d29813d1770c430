"""Chunks of files to vectors on a Ray cluster: the same chunks and parts, one model an actor.

Chunks are handed to actors that are up, a bounded number at a time, so that memory here does not
follow the size of the source. Each actor embeds a chunk with the engine of its machine and writes
the part itself. An actor that is lost costs what it was at: its chunks go to others, and what it
may have written is written again under the same name. Plain actors rather than Ray Data, which
takes in its whole input before it begins, and keeps tasks waiting for an actor that is gone.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmembed.embedding.engines.chunk import Chunk, DecodedSoFar
from mmembed.embedding.engines.part_writer import Committed, PartWriter
from mmembed.embedding.engines.ray_worker import Task, Worker
from mmembed.embedding.settings import Limits, Machine, RowOptions
from mmembed.errors import ConfigError, MissingExtraError, MmembedError
from mmembed.errors.plain_text import one_line, say
from mmembed.paths import Place
from mmembed.space.space_json import (
    CARD,
    WEIGHTS,
    asset_files,
    read_card,
    space_file,
    trusted_packages,
)

IN_FLIGHT = 2  # chunks an actor: one at work, one waiting
LOSSES = 4  # actors that a chunk, or a start, may cost
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
REACH_SECONDS = 10.0


@dataclass
class RayEngine:
    """Embeds chunks on a Ray cluster.

    Args:
        space: folder of the space.
        rows: what the rows are.
        limits: what a file may take.
        machine: ``actors``, ``ray_address``, and what each actor may use.
        root: of the source.
        write: writes a chunk, on the machine that embedded it.
    """

    space: str | Path
    rows: RowOptions
    limits: Limits
    machine: Machine
    root: Place
    write: PartWriter

    def __post_init__(self) -> None:
        self._notes: list[str] = []

    def run(self, chunks: Iterable[Chunk]) -> Generator[DecodedSoFar | Committed, None, None]:
        """Yield the outcome of each chunk when it is written, in any order, and counts in between.

        Counts come with each chunk, and every few seconds. Closing the iterator ends the actors.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: there is no cluster, it has no room for an actor, or actors keep ending.
        """
        ray = _ray()
        with _connected(ray, self.machine.ray_address):
            crew = _Crew(ray, self._task, *self._room(ray))
            files, media_seconds = 0, 0.0
            try:
                for done in crew.work(iter(chunks), self.write):
                    if done is not None:
                        chunk, committed = done
                        yield committed
                        files += len(chunk.files)
                        media_seconds += sum(committed.media_seconds.values())
                    yield DecodedSoFar(files, media_seconds)
                self._notes = crew.notes()
            finally:
                crew.dismiss()

    def notes(self) -> list[str]:
        """Return the lines of each worker that is still up, named by its number."""
        return self._notes

    def _room(self, ray: Any) -> tuple[int, dict[str, Any]]:
        """Return the number of actors and what each of them reserves."""
        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
        if not nodes:
            raise ConfigError("the cluster has no machine with a free core", "engine", "ray")
        gpus = int(sum(node.get("GPU", 0) for node in nodes))
        on_gpu = gpus > 0 and self.machine.device != "cpu"
        actors = self.machine.actors or (gpus if on_gpu else len(nodes))
        share = -(-actors // len(nodes))
        fair = int(min(node["CPU"] for node in nodes)) // share
        cores = max(1, fair if self.machine.workers is None else self.machine.workers)
        if cores > max(node["CPU"] for node in nodes):
            raise ConfigError("no machine of the cluster has that many cores", "workers", cores)
        options = {"num_cpus": cores, "num_gpus": int(on_gpu), "scheduling_strategy": "SPREAD"}
        return actors, options

    def _task(self, cores: int) -> Task:
        card = read_card(self.space, trusted_packages(self.machine.trust))
        names = (CARD, WEIGHTS, *asset_files(card["encoders"]))
        return Task(
            {name: space_file(self.space, name).read_bytes() for name in names},
            self.rows,
            self.limits,
            replace(self.machine, workers=cores),
            self.root,
            self.write.dataset.folder,
            self.write.dataset.card_text(),
        )


class _Crew:
    """Some actors at work; whoever is lost is replaced."""

    def __init__(
        self, ray: Any, task: Callable[[int], Task], actors: int, options: dict[str, Any]
    ) -> None:
        self._ray = ray
        self._actor = ray.remote(**options)(Worker)
        self._task = ray.put(task(options["num_cpus"]))
        self._options = options
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, int] = {}  # actors that are up, and how many chunks each has
        self._running: dict[Any, tuple[Any, Chunk]] = {}
        self._again: deque[Chunk] = deque()
        self._lost: Counter[str] = Counter()
        for _ in range(actors):
            self._start()

    def work(
        self, chunks: Iterable[Chunk], write: PartWriter
    ) -> Iterator[tuple[Chunk, Committed] | None]:
        """Yield each chunk with what came of it, in any order; None where nothing came lately."""
        following = iter(chunks)
        write_ref = self._ray.put(write)
        patience = PATIENCE_SECONDS
        while self._hand_out(following, write_ref):
            waiting = [*self._starting, *self._running]
            ready, _ = self._ray.wait(waiting, timeout=LOOK_SECONDS)
            patience = PATIENCE_SECONDS if ready or self._running else patience - LOOK_SECONDS
            if not ready:
                yield None
            if patience <= 0:
                patience = PATIENCE_SECONDS
                said = ", ".join(f"{value} {name}" for name, value in self._options.items())
                say(f"waiting for room in the Ray cluster ({said} an actor)", sys.stderr)
            for reference in ready:
                if reference in self._starting:
                    self._started(reference)
                    continue
                actor, chunk = self._running.pop(reference)
                committed = self._result(reference, chunk.name)
                if isinstance(committed, Committed):
                    self._busy[actor] -= 1
                    yield chunk, committed
                    continue
                self._again.append(chunk)
                if self._busy.pop(actor, None) is not None:
                    self._start()

    def notes(self) -> list[str]:
        """Return what the workers say of how they embedded, each line with the worker's number."""
        lines = []
        for number, actor in enumerate(self._busy, 1):
            try:
                said = self._ray.get(actor.notes.remote())
            except self._ray.exceptions.RayActorError:
                continue  # lost after its last chunk was safe
            lines += [f"worker {number}: {line}" for line in said]
        return lines

    def dismiss(self) -> None:
        """Stop all actors, whatever they are at."""
        for actor in [*self._starting.values(), *self._busy]:
            self._ray.kill(actor)

    def _hand_out(self, chunks: Any, write: Any) -> bool:
        """Give chunks to whoever has room; return whether there is anything left to wait for."""
        for actor in sorted(self._busy, key=lambda one: self._busy[one]):
            while self._busy[actor] < IN_FLIGHT:
                chunk = self._again.popleft() if self._again else next(chunks, None)
                if chunk is None:
                    return bool(self._running)
                self._running[actor.embed.remote(chunk, write)] = actor, chunk
                self._busy[actor] += 1
        return bool(self._running or self._starting)

    def _start(self) -> None:
        actor = self._actor.remote()
        self._starting[actor.load.remote(self._task)] = actor

    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        if self._result(reference, "start") is LOST:
            self._start()
        else:
            self._busy[actor] = 0

    def _result(self, reference: Any, what: str) -> Any:
        """Return what an actor returned, or :data:`LOST` if it is gone.

        Raises:
            MmembedError: as the actor raised it.
            ConfigError: actors keep ending over ``what``.
        """
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, MmembedError) else error) from None
        except self._ray.exceptions.RayActorError as error:
            self._lost[what] += 1
            if self._lost[what] < LOSSES:
                return LOST
            reason = one_line(error)
            raise ConfigError(
                f"{LOSSES} workers ended over {what} ({reason}). What is finished is safe. If "
                "memory ran out, fewer actors or workers, or smaller batches, take less.",
                "engine",
                "ray",
                advice="actors workers batch_size",
            ) from None


LOST = object()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError("the engine ray", "ray") from None
    return ray


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Be connected to a cluster inside; a connection that was there before is left as it is."""
    if ray.is_initialized():
        yield
        return
    _reach(address)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(one_line(error), "ray_address", address or "none") from None
    finally:  # Ray's own handler ends the process with another code
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Refuse an address where nobody answers; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"nobody answers there ({error})", "ray_address", address) from None
