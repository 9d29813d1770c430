"""The decode revision of each modality, and the versions of the libraries that decode.

Both are recorded beside stored vectors, for vectors may be compared only where the values that the
encoders got were made alike.
"""

from __future__ import annotations

import functools

DECODE_REVISION: dict[str, int] = {
    "image": 2,
    "audio": 2,
    "video": 2,
    "text": 1,
    "category": 1,
}
"""By modality, the revision of the code from a file to pixels, samples or characters.

Raise it whenever the decoded pixels or samples of some file change: another decoder or converter,
another frame or stretch for the same time stamp, an orientation or colour profile that is obeyed
now. Leave it where a file that was an error can be decoded now, where code is faster and gives the
same values, and where a library has another version: that is recorded by itself. Rows of another
revision are refused by ``embed`` until they are embedded anew.
"""

PACKAGES = {
    "Pillow": "pillow",
    "tifffile": "tifffile",
    "pi-heif": "pi-heif",
    "PyAV": "av",
    "soundfile": "soundfile",
    "numpy": "numpy",
}


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decode, by name; none of them is imported."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name, package in PACKAGES.items():
        try:
            versions[name] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@functools.cache
def decoder_versions() -> dict[str, str]:
    """Return :func:`package_versions`, and the versions of FFmpeg's libraries and of libsndfile.

    The decoders are imported for that, so it is for processes that decode or that are about to.
    """
    import av
    import soundfile

    ffmpeg = {name: ".".join(map(str, parts)) for name, parts in av.library_versions.items()}
    return {**package_versions(), **ffmpeg, "libsndfile": soundfile.__libsndfile_version__}
