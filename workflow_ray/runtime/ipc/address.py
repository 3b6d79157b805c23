"""Finds the socket on which a store is served on this node, for clients that can't ask Ray.

A folder of the user's, of mode 0700, holds a folder for each store. That folder holds a socket for
each server, and `current`, which names the newest. Nothing in it is trusted: a socket counts only
if a server accepts connections on it.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import socket
import stat
import tempfile
from collections.abc import Generator
from pathlib import Path

from workflow_ray.errors import StoreError

MAX_PATH = 103
"""Bytes that the path of a socket may have on every system."""
_CURRENT = "current"
# The process that made the socket, and a random part, because two servers may share a process.
_NAME = re.compile(r"(?P<pid>\d+)-[0-9a-f]{8}\.sock")


@contextlib.contextmanager
def announce(url: str) -> Generator[str, None, None]:
    """Give the path of a new socket on which to serve the store, so that `find` returns it.

    The newest announcement wins. The socket is removed at the end, and sockets that dead processes
    have left are removed now.

    Args:
        url: The store's, as `Adapter.canonical` spells it.

    Raises:
        StoreError: Other users have access to the folder, or its path is too long for a socket.
    """
    folder = _private(_private(_roots()[0]) / _key(url))
    _clean(folder)
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
    if len(os.fsencode(path)) > MAX_PATH:
        raise StoreError(
            str(path),
            f"a socket's path takes {MAX_PATH} bytes at most; set XDG_RUNTIME_DIR or TMPDIR to a"
            " shorter folder",
        )
    new = path.with_suffix(".new")
    new.write_text(path.name)
    new.replace(folder / _CURRENT)
    try:
        yield str(path)
    finally:
        # `current` stays, because it may name another server by now. If it names this one, `find`
        # sees that nobody accepts there.
        path.unlink(missing_ok=True)


def find(url: str) -> str | None:
    """Find the socket on which the store is served on this node; None: it is not served here.

    Args:
        url: The store's, as `Adapter.canonical` spells it.

    Raises:
        StoreError: Other users have access to the folder, so its content can't be trusted.
    """
    # A server that Ray started may lack the user's XDG_RUNTIME_DIR, so both folders are searched.
    for root in _roots():
        folder = root / _key(url)
        with contextlib.suppress(FileNotFoundError):
            _verify(root)
            _verify(folder)
            name = (folder / _CURRENT).read_text()
            if _NAME.fullmatch(name) and _accepts(folder / name):
                return str(folder / name)
    return None


def _roots() -> list[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    shared = Path(tempfile.gettempdir(), f"workflow_ray-{os.getuid()}")
    return (
        [Path(runtime, "workflow_ray"), shared] if runtime and Path(runtime).is_dir() else [shared]
    )


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    _verify(folder)
    return folder


def _verify(folder: Path) -> None:
    """Refuse a folder that others could have made, or can write to. A link isn't followed."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(
            str(folder),
            "is not a folder of yours with mode 0700; remove it, or set TMPDIR to another folder",
        )


def _clean(folder: Path) -> None:
    for path in folder.glob("*-*.*"):
        pid = path.name.partition("-")[0]
        # Both are checked, because a live process may be about to listen, and the id of a dead
        # process may be in use again.
        if pid.isdigit() and not _alive(int(pid)) and not _accepts(path):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # The process is another user's.
    return True


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EAGAIN means that its queue is full, so a server listens.
        return probe.connect_ex(os.fspath(path)) in (0, errno.EAGAIN)
