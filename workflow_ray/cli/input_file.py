"""Opens a job's input before anything is started for it."""

import os
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager

from workflow_ray.cli.streams import is_open
from workflow_ray.errors import InvalidInput

STANDARD_INPUT = "-"


@contextmanager
def open_input(source: str) -> Generator[int]:
    """Open a file, or standard input for `-`.

    Yields:
        The file descriptor.

    Raises:
        InvalidInput: It can't be read.
    """
    if source == STANDARD_INPUT:
        if not is_open(sys.stdin):
            raise InvalidInput("--input", "standard input is closed")
        yield _checked(0, "standard input")
        return
    try:
        descriptor = os.open(source, os.O_RDONLY)
    except (OSError, ValueError) as error:  # ValueError: the name has a null character
        raise InvalidInput("--input", f"{source} can't be read: {_reason(error)}") from None
    try:
        yield _checked(descriptor, source)
    finally:
        os.close(descriptor)


def _checked(descriptor: int, name: str) -> int:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise InvalidInput("--input", f"{name} can't be read: it is a directory")
    return descriptor


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
