"""The servers that `make services` keeps up for development, in a folder that all checkouts of one
user share.
"""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from tests.servers.server import Server

S = TypeVar("S", bound=Server)


def folder() -> Path:
    """In the machine's temporary folder.

    Raises PermissionError: what is there is another user's.
    """
    found = Path(tempfile.gettempdir()) / f"workflow-ray-services-{os.geteuid()}"
    if found.exists() and found.stat().st_uid != os.geteuid():
        raise PermissionError(f"{found} belongs to another user: remove it, or set TMPDIR")
    return found


def running(kind: type[S]) -> S | None:
    """The server of this kind that `make services` keeps up; None: none."""
    server = kind(folder(), lasting=True)
    return server if server.running else None
