"""Copies of media in the ways that people make them, and what a dataset says of its files."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmembed.store.part_file import read_footer


def plainly(old: Path, new: Path) -> None:
    shutil.copytree(old, new, copy_function=shutil.copyfile)


def with_times(old: Path, new: Path) -> None:
    shutil.copytree(old, new)


def by_tar(old: Path, new: Path) -> None:
    with tarfile.open(new.with_suffix(".tar"), "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(old, new.name)  # times are whole seconds in this format
    with tarfile.open(new.with_suffix(".tar")) as archive:
        archive.extractall(new.parent, filter="fully_trusted")


def by_zip(old: Path, new: Path) -> None:
    with zipfile.ZipFile(new.with_suffix(".zip"), "w") as archive:
        for path in sorted(old.rglob("*.*")):
            archive.write(path, path.relative_to(old))
    shutil.unpack_archive(new.with_suffix(".zip"), new)


def by_fat(old: Path, new: Path) -> None:
    shutil.copytree(old, new)
    for path in new.rglob("*.*"):
        time_ns = path.stat().st_mtime_ns // (2 * 10**9) * 2 * 10**9
        os.utime(path, ns=(time_ns, time_ns))


WAYS = [plainly, with_times, by_tar, by_zip, by_fat]


def rows(out: Path) -> list[dict]:
    """All that rows say but the times of their files."""
    table = pa.concat_tables(pq.read_table(part) for part in sorted(out.glob("part-*")))
    return sorted(table.drop_columns("mtime_ns").to_pylist(), key=lambda row: row["id"])


def source(out: Path) -> str:
    """The source that a dataset names, its card and all of its parts alike."""
    named = {read_footer(part).provenance.source for part in out.glob("part-*")}
    assert named == {json.loads((out / "_mmembed.json").read_text())["source"]}
    return named.pop()
