"""Every error a user can meet: a sentence, what it is of, and the options that help.

Python and the tables ``_errors`` show the sentence. The command line adds the options, as they are
written there (:mod:`mmembed.cli.error_advice`).

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

    Args:
        message: what was wrong, and what to do about it.
        option: the option that it is about, as Python names it: ``part_rows=0: must be positive``.
        value: what was given for it; None if the option alone says enough.
        advice: the options that help, as Python names them, with spaces between; one may have a
            value (``precision=fp32``). Only the command line shows them.

    Attributes:
        sentence: the message without the option.
    """

    exit_code = 2

    def __init__(
        self, message: object = "", option: str = "", value: object = None, advice: str = ""
    ) -> None:
        self.sentence = plain(redacted(str(message)))
        self.option, self.advice = option, plain(redacted(advice))
        self.value = None if value is None else plain(redacted(str(value)))
        given = option if self.value is None else f"{option}={self.value}"
        super().__init__(f"{given}: {self.sentence}" if option else self.sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args), vars(self)


def _rebuilt(kind: type[MmembedError], args: tuple[Any, ...]) -> MmembedError:
    """Return an error as it came out of another process, whatever its kind takes."""
    error = kind.__new__(kind)
    error.args = args
    return error


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
        advice: as of :class:`MmembedError`.
    """

    def __init__(
        self, path: str, stage: Stage, message: str, decoder: str = "", advice: str = ""
    ) -> None:
        path, message = redacted(path), redacted(message)
        by = f" (decoder: {decoder})" if decoder else ""
        what, stop, way_out = message.partition(". ")
        super().__init__(f"{path}: {what}{by}{stop}{way_out}", advice=advice)
        self.path, self.stage, self.message, self.decoder = path, stage, message, decoder


class TruncatedError(MediaError):
    """A sound or video that stops before the end that its header declares.

    Args:
        path: as of :class:`MediaError`.
        message: what was wrong, and what to do about it; that it can be taken as it is, is advice.
        decoder: the library or codec that came to the end.
        end_seconds: where it stops.
    """

    def __init__(self, path: str, message: str, decoder: str, end_seconds: float) -> None:
        super().__init__(path, "decode", message, decoder, "allow_truncated")
        self.end_seconds = end_seconds


class VerdictError(MmembedError):
    """The job was done and its output is whole, but what came of it is not what was asked for.

    Args:
        message: what was asked for, and what came of it.
        summary: of the job, to be printed before.
        option: as of :class:`MmembedError`.
    """

    exit_code = 1

    def __init__(self, message: str, summary: object = "", option: str = "") -> None:
        super().__init__(message, option)
        self.summary = summary


class Terminated(KeyboardInterrupt):
    """SIGTERM: the run cleans up as after Ctrl-C, and ends with exit code 143.

    Attributes:
        option: the option that goes on with the work, as Python names it.
        value: of that option.
        sentence: what to say of it; empty if nothing is to be said.
    """

    exit_code = 143
    option = sentence = ""
    value: object = None
