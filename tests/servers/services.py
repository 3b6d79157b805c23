"""The servers that `make services` keeps running for development.

They are in a folder that all checkouts of one user share.
"""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from tests.servers.server import Server

S = TypeVar("S", bound=Server)


def folder() -> Path:
    """Return the folder, which is in the machine's temporary folder.

    Raises PermissionError: it belongs to another user.
    """
    found = Path(tempfile.gettempdir()) / f"workflow-ray-services-{os.geteuid()}"
    if found.exists() and found.stat().st_uid != os.geteuid():
        raise PermissionError(f"{found} belongs to another user: remove it, or set TMPDIR")
    return found


def running(kind: type[S]) -> S | None:
    """Return the server of this kind that `make services` keeps running; None: there is none."""
    server = kind(folder(), lasting=True)
    return server if server.running else None
