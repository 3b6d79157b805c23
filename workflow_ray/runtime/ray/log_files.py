"""The log files of a deployment's actors: one for each name, in one folder of each node.

An actor's earlier processes have written to the same file, so that it tells why they ended.
"""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from urllib.parse import quote, unquote

from workflow_ray.runtime.logs import WITH_TIME, VisibleFormatter
from workflow_ray.runtime.ray.head import local_head

FOLDER = "WORKFLOW_RAY_LOGS"
SUFFIX = ".log"
SIZE = 4 * 1024 * 1024
"""Bytes of a file before it is renamed, and a new one begun..."""
KEPT = 2
"""...and renamed files that are kept."""


def log_folder(namespace: str) -> Path:
    """The folder of a deployment's log files: in WORKFLOW_RAY_LOGS, else in the folder `logs` of
    WORKFLOW_RAY_HOME.
    """
    chosen = os.environ.get(FOLDER)
    return (Path(chosen) if chosen else local_head().home / "logs").resolve() / namespace


def log_file(folder: str | Path, name: str) -> Path:
    """The log file of the actor that has this name."""
    return Path(folder) / f"{quote(name, safe='')}{SUFFIX}"


def actor_of(file: Path) -> str:
    """The name of the actor whose log file this is."""
    return unquote(file.name.removesuffix(SUFFIX))


def write_log(folder: str, name: str) -> str:
    """Have what this process logs go to the actor's file. Nothing is opened before the first line.

    Args:
        folder: The deployment's; "": nothing is written.
        name: The actor's.

    Returns:
        The file's path; "" where there is none.
    """
    if not folder:
        return ""
    path = log_file(folder, name)
    file = _LogFile(path, maxBytes=SIZE, backupCount=KEPT, delay=True, encoding="utf-8")
    file.setFormatter(VisibleFormatter(WITH_TIME))
    root = logging.getLogger()
    root.addHandler(file)
    root.setLevel(logging.INFO)  # as a local worker prints
    return str(path)


def output_file() -> str:
    """The file that this process prints to; "" where that is not known."""
    try:
        path = os.path.realpath("/proc/self/fd/1")
    except OSError:
        return ""
    return path if os.path.isfile(path) else ""


class _LogFile(RotatingFileHandler):
    """A log file in a folder that is made when it is needed. Where it can't be written, lines go to
    standard error.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is None:
                Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
