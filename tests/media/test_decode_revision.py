"""Decode revisions: one for each modality that is decoded, and the versions that go with them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import av
import numpy as np
import PIL
import pytest
import soundfile

from mmembed.media.decode_revision import (
    DECODE_REVISION,
    PACKAGES,
    decoder_versions,
    package_versions,
)
from mmembed.modality import kinds


def test_every_modality_that_is_decoded_has_a_revision() -> None:
    assert list(DECODE_REVISION) == list(kinds())
    assert all(type(revision) is int and revision >= 1 for revision in DECODE_REVISION.values())


def test_versions_are_those_of_the_libraries_that_decode_here() -> None:
    versions = decoder_versions()
    assert versions["Pillow"] == PIL.__version__
    assert versions["numpy"] == np.__version__
    assert versions["PyAV"] == av.__version__
    assert versions["soundfile"] == soundfile.__version__
    assert versions["libsndfile"] == soundfile.__libsndfile_version__
    assert versions["libavcodec"].startswith(f"{av.library_versions['libavcodec'][0]}.")
    assert {"libavformat", "libavutil", "libswresample", "libswscale"} <= set(versions)
    assert package_versions().items() <= versions.items()


def test_versions_of_packages_are_known_without_importing_one() -> None:
    program = (
        "import sys; from mmembed.media.decode_revision import package_versions; "
        "print(len(package_versions())); "
        "print(*{'av', 'PIL', 'soundfile', 'numpy', 'torch'} & set(sys.modules), 'loaded')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [str(len(PACKAGES)), "loaded"], done.stderr


def test_a_package_without_metadata_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "av":
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr("importlib.metadata.version", version)
    assert package_versions() == {name: "1.0" for name in PACKAGES if name != "PyAV"}
