"""Writes the output of commands: text for people, JSON for programs."""

import json
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.streams import discard, is_open
from workflow_ray.engine.visible import visible as visible
from workflow_ray.errors import WorkflowError

COMPACT = -1
"""The indent with which msgspec writes one line without spaces."""
STANDARD_OUTPUT = "standard output"
WIDE = 1_000_000
"""Columns where standard output is not a terminal, so that no line is wrapped."""
_NUMBER_OR_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?Infinity|NaN', re.DOTALL)
_NOT_ASCII = re.compile(r"[^\n -~]")


class OutputFailed(WorkflowError):
    """Standard output, or a file, can't be written."""

    exit_code = ExitCode.FAILED

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} can't be written: {self.why}"


class ReaderGone(Exception):
    """The reader of standard output has closed it. The command ends without a message."""


class _Output(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        raise ReaderGone


class _Errors(Console):
    """Standard error. A reader that has gone does not end the work."""

    def on_broken_pipe(self) -> None:
        discard(sys.stderr)


def console() -> Console:
    """Return standard output. Print rich's objects and `Text` only: a `str` might hold markup."""
    width = None if is_terminal() else WIDE
    return _Output(width=width, highlight=False, markup=False, emoji=False)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return is_open(sys.stdout) and sys.stdout.isatty()


@cache
def error_console() -> Console:
    """Return standard error, always the same object, so that lines go above a progress bar."""
    return _Errors(stderr=True, highlight=False, markup=False, emoji=False)


def write(*things: RenderableType) -> None:
    """Write rich's objects to standard output, each on lines of its own.

    A `Text` is one line, which a terminal wraps. Other objects are laid out to the width.

    Raises:
        OutputFailed: Standard output is closed or full.
        ReaderGone: Its reader has closed it.
    """
    with _standard_output() as output:
        for thing in things:
            output.print(thing, soft_wrap=isinstance(thing, Text))


def say(line: str, style: str = "") -> None:
    """Print one line, made visible, on standard output. A terminal wraps it. Raises as `write`."""
    write(Text(visible(line), style))


def complain(line: str) -> None:
    """Print one line, made visible, on standard error, if that can be written."""
    write_error(visible(line))


def write_error(text: str) -> None:
    """Print text, already visible, on standard error, if that can be written."""
    try:
        error_console().print(Text(text), soft_wrap=True)
    except OSError:
        discard(sys.stderr)


def print_text(text: str) -> None:
    """Print text that ends its last line itself, as it is. Raises as `write`."""
    with _standard_output() as output:
        output.out(text, end="", highlight=False)


def print_json(value: object) -> None:
    """Print a value as strict JSON on standard output, for other programs. Raises as `write`."""
    with _standard_output() as output:
        output.out(to_json(value), highlight=False)


def print_json_line(value: object) -> None:
    """Print a value as one line of strict JSON. Raises as `write`."""
    with _standard_output() as output:
        output.out(to_json(value, indent=COMPACT), highlight=False)


def to_json(value: object, indent: int = 2) -> str:
    """Convert a value to strict JSON in ASCII.

    It means the same in every encoding, and no character in it can control a terminal. NaN and
    Infinity, which JSON lacks and stored data may hold, become strings: "NaN".
    """
    encoded = strict(msgspec.json.encode(value))
    text = msgspec.json.format(encoded, indent=indent).decode()
    # all other characters are in strings
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def strict(encoded: bytes) -> bytes:
    """Turn the NaN and Infinity of JSON that is not strict into strings."""
    if b"NaN" not in encoded and b"Infinity" not in encoded:
        return encoded
    return _NUMBER_OR_STRING.sub(
        lambda found: found[0] if found[0].startswith(b'"') else b'"%b"' % found[0], encoded
    )


@contextmanager
def _standard_output() -> Generator[Console]:
    if not is_open(sys.stdout):
        raise OutputFailed(STANDARD_OUTPUT, "it is closed")
    try:
        yield console()
    except OSError as error:
        raise OutputFailed(STANDARD_OUTPUT, error.strerror or str(error)) from None
