"""Makes the standard streams usable, whatever the caller has done to them."""

import io
import os
import sys
from typing import TextIO

DESCRIPTORS = (0, 1, 2)


def prepare() -> None:
    """Prepare the standard streams before anything is read or written.

    A descriptor that the caller closed is opened on /dev/null. Otherwise the next file to be
    opened, perhaps a database, would become standard output. The stream in `sys` stays None.
    A character that the output's encoding lacks is written as an escape sequence.
    """
    for descriptor in DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_open(stream: TextIO | None) -> bool:
    """Whether a stream of `sys` exists: the caller may have closed it."""
    return stream is not None


def finish() -> None:
    """Write what is still buffered, and drop what can't be written.

    Otherwise Python would try again while it ends, and print a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if is_open(stream):
            try:
                stream.flush()
            except OSError:
                discard(stream)


def discard(stream: TextIO) -> None:
    """Connect the stream to /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
