"""Processes by their pid: who they are, whom they have started, and their end."""

import os
import signal
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

POLL = 0.01

GUARD = 'read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2"; rmdir -- "${2%/*}"'
"""A shell that waits for the end of its standard input: of the process that holds the other end of
it, however that ends.
"""


def started_at(pid: int) -> str | None:
    """When a process started, in ticks since the machine did: with its pid it names one process for
    good. None: it has ended.
    """
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None


def family(pid: int) -> list[int]:
    """A process and all that descend from it, ancestors first."""
    found = [pid]
    for parent in found:  # which grows
        with suppress(OSError):  # it, or a thread of it, has ended meanwhile
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
    return found


def send(sign: signal.Signals, pids: Collection[int]) -> None:
    """Send a signal to those of the processes that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def gone(pids: Collection[int], within: float) -> bool:
    """Wait up to `within` seconds for the end of all of them; whether it came.

    One that nobody waits for has ended too.
    """
    deadline = time.monotonic() + within
    while any(started_at(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)  # nobody is told of the end of a process that isn't a child
    return True


def guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Once this process has ended, be it by SIGKILL, ends the process group `pid` and removes its
    folder, and the one above if empty.
    """
    command = ["/bin/sh", "-c", GUARD, "guard", str(pid), str(folder)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
