"""The log files of a deployment's actors: one file for each actor, in a folder on its node.

All processes of an actor write to the same file, so that it shows why earlier ones ended.
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
"""Bytes after which a file is renamed, and a new one is begun."""
KEPT = 2
"""How many renamed files are kept."""


def log_folder(namespace: str) -> Path:
    """Return the folder of a deployment's log files.

    It is in WORKFLOW_RAY_LOGS, or else in the folder `logs` of WORKFLOW_RAY_HOME.
    """
    chosen = os.environ.get(FOLDER)
    return (Path(chosen) if chosen else local_head().home / "logs").resolve() / namespace


def log_file(folder: str | Path, name: str) -> Path:
    """Return the path of an actor's log file."""
    return Path(folder) / f"{quote(name, safe='')}{SUFFIX}"


def actor_of(file: Path) -> str:
    """Return the name of the actor that writes this log file."""
    return unquote(file.name.removesuffix(SUFFIX))


def write_log(folder: str, name: str) -> str:
    """Write the log of this process to the actor's file, which is opened for the first line.

    Args:
        folder: The folder of the deployment; "": write no file.
        name: The name of the actor.

    Returns:
        The path of the file; "" if there is none.
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
    """Return the path of the file that this process prints to; "" if it is not known."""
    try:
        path = os.path.realpath("/proc/self/fd/1")
    except OSError:
        return ""
    return path if os.path.isfile(path) else ""


class _LogFile(RotatingFileHandler):
    """Writes a log file, and makes its folder. Lines that can't be written go to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is None:
                Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
