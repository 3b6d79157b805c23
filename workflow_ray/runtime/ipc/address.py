"""Where a store is served on this node, for clients that can't ask Ray.

A folder of the user's, of mode 0700, holds one folder for each store; in it a socket for each
server, and `current`, which names the newest. Nothing in it is trusted: a socket counts only if
somebody accepts there.
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
"""Bytes of a socket's path that every system takes."""
_CURRENT = "current"
# the process that made it, and a random part: two servers may share a process
_NAME = re.compile(r"(?P<pid>\d+)-[0-9a-f]{8}\.sock")


@contextlib.contextmanager
def announce(url: str) -> Generator[str, None, None]:
    """The path of a new socket to serve the store on, named to those who `find` the same url;
    removed at the end.

    url: as `Adapter.canonical` spells it. The newest announcement wins. Sockets that dead processes
        left are cleaned up. Raises StoreError: the folder isn't this user's alone, or its path is
        too long for a socket.
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
    named = path.with_suffix(".new")
    named.write_text(path.name)
    named.replace(folder / _CURRENT)
    try:
        yield str(path)
    finally:
        # `current` stays: it may name another server by now; else it names a socket that nobody
        # accepts on
        path.unlink(missing_ok=True)


def find(url: str) -> str | None:
    """The socket on which the store is served on this node, or None. url: as `Adapter.canonical`
    spells it.

    Raises StoreError: the folder isn't this user's alone, and so neither is what it names.
    """
    for root in _roots():  # both: a server that Ray started may lack the user's XDG_RUNTIME_DIR
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
    """Refuse what others could have put there, or could put things into. A link isn't followed."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(
            str(folder),
            "must be a folder of yours with mode 0700, and isn't; remove it, or set TMPDIR to"
            " another",
        )


def _clean(folder: Path) -> None:
    for path in folder.glob("*-*.*"):
        pid = path.name.partition("-")[0]
        # Both are checked: a live process may be about to listen, and the number of a dead one may
        # have been reused.
        if pid.isdigit() and not _alive(int(pid)) and not _accepts(path):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EAGAIN: its queue is full, so somebody listens
        return probe.connect_ex(os.fspath(path)) in (0, errno.EAGAIN)
