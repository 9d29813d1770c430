"""Progress of a run while a folder is embedded, and the summary afterwards."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from mmembed.durations import readable
from mmembed.errors.plain_text import plain, redacted, say
from mmembed.paths import Place, shown

if TYPE_CHECKING:
    from rich.progress import Progress

    from mmembed.embedding.engines.chunk import DecodedSoFar, InWork
    from mmembed.embedding.engines.part_writer import Committed

LINE_SECONDS = 10.0
SHOWN_REASONS = 8


@dataclass
class EmbedSummary:
    """The outcome of one call of :func:`mmembed.embedding.embed`.

    Attributes:
        out: the dataset.
        files: files in the source; each has rows or an error in ``out`` afterwards.
        kept: files that were there already.
        kept_failed: how many of those have an error.
        embedded: files that got rows now.
        failed: files that got an error now.
        rows: by modality, rows written now.
        reasons: by reason, files that failed now.
        advice: by option that helps, files that failed now.
        media_seconds: by modality, of the sounds and videos that got rows now.
        removed: files whose rows were taken out, as they changed or are gone.
        retried: files whose errors were taken out, to be tried again.
        upgraded: files whose rows or errors were taken out, as they are decoded otherwise now.
        hashed: files that were there already and got a checksum.
        hidden: names starting with a dot, which were skipped.
        system: files and folders of the system and sidecars, which were skipped.
        unwanted: names that ``include`` and ``exclude`` left out.
        repeated: cells of a manifest that name a file again.
        unseen: files and folders that could not be looked at or listed.
        unseen_kept: files whose rows or errors were kept for that, as they were.
        notes: lines on how the source was read, and how its files were embedded.
        seconds: how long it took.
        planned: nothing was done, this is what there is to do.
    """

    out: Place
    files: int = 0
    kept: int = 0
    kept_failed: int = 0
    embedded: int = 0
    failed: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    advice: Counter[str] = field(default_factory=Counter)
    media_seconds: Counter[str] = field(default_factory=Counter)
    removed: int = 0
    retried: int = 0
    upgraded: int = 0
    hashed: int = 0
    hidden: int = 0
    system: int = 0
    unwanted: int = 0
    repeated: int = 0
    unseen: int = 0
    unseen_kept: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    planned: bool = False

    @property
    def to_do(self) -> int:
        """Files that have neither rows nor an error in ``out``."""
        return self.files - self.done

    @property
    def all_failed(self) -> int:
        """Files of ``out`` that have an error, from this run or an earlier one."""
        return self.failed + self.kept_failed

    @property
    def done(self) -> int:
        """Files that have rows or an error in ``out`` now."""
        return self.kept + self.embedded + self.failed

    def add(self, committed: Committed) -> None:
        """Count what came of a chunk; reasons without numbers and names in quotes."""
        self.embedded += committed.embedded
        self.failed += len(committed.problems)
        self.rows.update(committed.rows)
        self.advice.update(committed.advice)
        self.media_seconds.update(committed.media_seconds)
        for stage, message in committed.problems:
            self._add_reason(stage, message)

    def _add_reason(self, stage: str, message: str) -> None:
        reason = re.sub(r"'[^']*'|\"[^\"]*\"", "…", message.splitlines()[0] if message else "")
        self.reasons[f"{stage}: {re.sub(r'[0-9]+([.][0-9]+)?', 'N', reason)}"] += 1

    def __str__(self) -> str:
        """Return the summary in a few lines."""
        rows = ", ".join(f"{n:,} {m}" for m, n in sorted(self.rows.items())) or "none"
        if self.planned:
            return self._plan()
        speed = (self.embedded + self.failed) / max(self.seconds, 1e-9)
        lines = [
            f"{self.files:,} files found: {self.embedded:,} embedded, {self.failed:,} failed, "
            f"{self.kept:,} were there already",
            f"rows written: {rows}, in {self.seconds:.1f} s ({speed:,.0f} files/s)",
        ]
        if media := [f"{readable(n)} of {m}" for m, n in sorted(self.media_seconds.items())]:
            lines.append(f"media embedded: {', '.join(media)}")
        notes = (
            (self.removed, "changed or gone since the last run, their old rows removed"),
            (self.retried, "had failed before and were tried again"),
            (self.upgraded, "are decoded otherwise now and were embedded anew"),
            (self.hashed, "were there without a checksum, which was added"),
            *self._passed_by(),
            (self.repeated, "cells name a file again; the first row's columns were kept"),
        )
        lines += [f"{count:,} {what}" for count, what in notes if count] + self._unseen("are")
        common = self.reasons.most_common(SHOWN_REASONS)
        lines += [f"  {n:,} × {plain(redacted(reason))}" for reason, n in common]
        if len(self.reasons) > SHOWN_REASONS:
            lines.append(f"  and {len(self.reasons) - SHOWN_REASONS} more reasons")
        if self.failed:
            lines.append(f"each failed file is in {shown(self.out / '_errors')}")
        return "\n".join([*lines, *self.notes, f"dataset: {shown(self.out)}"])

    def _passed_by(self) -> tuple[tuple[int, str], ...]:
        return (
            (self.hidden, "names starting with a dot skipped"),
            (self.system, "files and folders of the system and sidecars skipped"),
            (self.unwanted, "names left out by the globs"),
        )

    def _plan(self) -> str:
        lines = [
            f"{self.files:,} files found: {self.to_do:,} to embed, {self.kept:,} are there already "
            f"({self.kept_failed:,} with an error)"
        ]
        notes = (
            (self.removed, "changed or gone since the last run, their old rows to be removed"),
            (self.retried, "failed before, to be tried again"),
            (self.upgraded, "are decoded otherwise now, to be embedded anew"),
            (self.hashed, "are there without a checksum, which is to be added"),
            *self._passed_by(),
        )
        lines += [f"{count:,} {what}" for count, what in notes if count] + self._unseen("are to be")
        return "\n".join([*lines, *self.notes, "dry run: nothing was written"])

    def _unseen(self, verb: str) -> list[str]:
        kept = f"rows and errors of {self.unseen_kept:,} files {verb} kept as they were"
        if self.unseen:
            return [f"{self.unseen:,} files or folders can't be seen now: {kept}"]
        return [f"links to folders lead nowhere now: {kept}"] if self.unseen_kept else []


class ProgressDisplay:
    """A bar on a terminal, elsewhere a line every ten seconds; both on standard error.

    Args:
        summary: what is counted.
        quiet: show nothing.
    """

    def __init__(self, summary: EmbedSummary, quiet: bool = False) -> None:
        self._summary, self._quiet = summary, quiet
        self._started = self._said = time.monotonic()
        from rich.console import Console  # slow to import: only where there is work
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("embedding"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("files, {task.fields[speed]:,.0f}/s, {task.fields[failed]:,} failed"),
                TextColumn("{task.fields[media]}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[in_work]}", markup=False),
                console=console,
            )
            done = summary.kept
            self._task = self._bar.add_task(
                "", total=summary.files, completed=done, speed=0.0, failed=0, media="", in_work=""
            )

    def __enter__(self) -> ProgressDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not self._quiet:
            say(
                f"interrupted: {self._summary.done:,} of {self._summary.files:,} files are safe "
                f"in {shown(self._summary.out)}. Run the same command again to go on.",
                sys.stderr,
            )

    def update(self, so_far: DecodedSoFar) -> None:
        """Show what was decoded so far in this run."""
        now = time.monotonic()
        decoded, seconds = so_far.files, max(now - self._started, 1e-9)
        summary = self._summary
        speed, done = decoded / seconds, summary.kept + decoded
        media = f"{readable(so_far.media_seconds)} of media" if so_far.media_seconds else ""
        in_work = _in_work(so_far.in_work)
        if self._bar:
            self._bar.update(
                self._task,
                completed=done,
                speed=speed,
                failed=summary.failed,
                media=media,
                in_work=in_work,
            )
        elif not self._quiet and now - self._said >= LINE_SECONDS:
            self._said = now
            left = f"{(summary.files - done) / speed:,.0f} s to go" if decoded >= 50 else ""
            counts = (
                f"{done:,} of {summary.files:,} files",
                f"{speed:,.0f} files/s" if speed >= 1 else "",
                media,
                f"{summary.failed:,} failed",
                left,
                in_work,
            )
            say(", ".join(each for each in counts if each), sys.stderr)


def _in_work(file: InWork | None) -> str:
    """Return the file in work as text: ``talk.flac for 40 s (2.1 h decoded)``; empty if none."""
    if file is None:
        return ""
    others = f" or one of {file.others} with it" if file.others else ""
    decoded = f" ({readable(file.media_seconds)} decoded)" if file.media_seconds else ""
    return f"at work on {plain(file.path)}{others} for {readable(file.seconds)}{decoded}"
