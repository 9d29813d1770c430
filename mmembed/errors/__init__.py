"""Every error a user can meet; each names what was wrong, which file or option, and what to do.

::

    MmembedError            anything below; the command line prints it in one line and exits with 2
    ├── ConfigError         an option or a config key that can't be used
    ├── ManifestError       a manifest or media folder that can't be read as samples
    ├── MediaError          one file that can't be listed, probed, decoded or encoded
    │   └── TruncatedError  a sound or video that stops before the end that its header declares
    ├── SpaceError          a space that can't be loaded, or does not fit what is asked of it
    ├── StoreError          a Parquet dataset that can't be read, or rows that must not be mixed
    ├── UnreachableError    a URL that does not answer; it is an OSError too
    ├── MissingExtraError   a package that only some users need is not installed
    └── VerdictError        the job was done, but not as strictly as asked for (exit code 1)
"""

from __future__ import annotations

from typing import Any, Literal

from mmembed.errors.plain_text import plain, redacted

Stage = Literal["list", "probe", "decode", "encode"]


class MmembedError(Exception):
    """Any mistake in the user's input; its text is the whole message, in one line.

    The text may quote names, URLs and libraries: control characters in it are shown as text, and
    URLs without their passwords and options.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(plain(redacted(str(message))))


class ConfigError(MmembedError):
    """An option or a config key that can't be used."""


class ManifestError(MmembedError):
    """A manifest or a media folder that can't be read as samples."""


class SpaceError(MmembedError):
    """A space that can't be loaded, or that does not fit what is asked of it."""


class StoreError(MmembedError):
    """A Parquet dataset that can't be read, or rows that must not be mixed."""


class UnreachableError(MmembedError, OSError):
    """A URL whose server does not answer, or refuses."""


class MissingExtraError(MmembedError):
    """A package that only some users need is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'mmembed[{extra}]'")


class MediaError(MmembedError):
    """One file that can't be listed, probed, decoded or encoded.

    Args:
        path: the file as the user named it (``"<bytes>"`` for data in memory).
        stage: where it failed.
        message: what was wrong, and what to do about it.
        decoder: the library or codec that refused, empty if none was reached.
    """

    def __init__(self, path: str, stage: Stage, message: str, decoder: str = "") -> None:
        path, message = redacted(path), redacted(message)
        by = f" (decoder: {decoder})" if decoder else ""
        what, stop, advice = message.partition(". ")
        super().__init__(f"{path}: {what}{by}{stop}{advice}")
        self.path, self.stage, self.message, self.decoder = path, stage, message, decoder

    def __reduce__(self) -> tuple[type[MediaError], tuple[Any, ...]]:
        return MediaError, (self.path, self.stage, self.message, self.decoder)


class TruncatedError(MediaError):
    """A sound or video that stops before the end that its header declares.

    Args:
        path: as of :class:`MediaError`.
        message: what was wrong, and what to do about it.
        decoder: the library or codec that came to the end.
        end_seconds: where it stops.
    """

    def __init__(self, path: str, message: str, decoder: str, end_seconds: float) -> None:
        super().__init__(path, "decode", message, decoder)
        self.end_seconds = end_seconds

    def __reduce__(self) -> tuple[type[MediaError], tuple[Any, ...]]:
        return TruncatedError, (self.path, self.message, self.decoder, self.end_seconds)


class VerdictError(MmembedError):
    """The job was done and its output is whole, but what came of it is not what was asked for.

    Args:
        message: what was asked for, and what came of it.
        summary: of the job, to be printed before.
    """

    exit_code = 1

    def __init__(self, message: str, summary: object = "") -> None:
        super().__init__(message)
        self.summary = summary


class Terminated(KeyboardInterrupt):
    """SIGTERM: the run cleans up as after Ctrl-C, and ends with exit code 143.

    Attributes:
        way_on: what goes on with the work; empty if nothing is to be said.
    """

    exit_code = 143
    way_on = ""
