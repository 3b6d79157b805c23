"""Writes a job's report to a file."""

import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from workflow_ray.cli.output import OutputFailed, to_json
from workflow_ray.errors import InvalidInput


@contextmanager
def open_report(path: Path | None) -> Generator[Callable[[object], None]]:
    """Open the file before the work, so that a job does not end without its report.

    A file that exists keeps its content until the report is written.

    Args:
        path: The file; None: nothing is written.

    Yields:
        A function that writes a value to the file as JSON. It raises OutputFailed.

    Raises:
        InvalidInput: The file can't be written.
    """
    if path is None:
        yield lambda value: None
        return
    existed = path.exists()
    try:
        file = path.open("ab")
    except OSError as error:
        raise InvalidInput("--report", f"{path} can't be written: {error.strerror}") from None
    written = False

    def write(value: object) -> None:
        nonlocal written
        try:
            _replace_content(file, to_json(value).encode() + b"\n")
        except OSError as error:
            raise OutputFailed(str(path), error.strerror or str(error)) from None
        written = True

    try:
        yield write
    finally:
        with suppress(OSError):  # `write` has reported it
            file.close()
        if not existed and not written:
            path.unlink(missing_ok=True)


def _replace_content(file: BinaryIO, content: bytes) -> None:
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.truncate(0)
    file.write(content)
    file.flush()
