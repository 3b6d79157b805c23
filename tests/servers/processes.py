"""Processes by their ids: their identity, their descendants and their end."""

import os
import signal
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

POLL = 0.01

GUARD = 'read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2"; rmdir -- "${2%/*}"'
"""A shell that waits for the end of its standard input.

That is the end of the process that holds the other end of it.
"""


def started_at(pid: int) -> str | None:
    """Return when a process started, in ticks since the machine started; None: it has ended.

    With its id this names one process for good.
    """
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None


def family(pid: int) -> list[int]:
    """Return a process and all its descendants, ancestors first."""
    found = [pid]
    for parent in found:  # the list grows meanwhile
        with suppress(OSError):  # the process or a thread of it has ended meanwhile
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
    return found


def send(sign: signal.Signals, pids: Collection[int]) -> None:
    """Send a signal to the processes that still exist."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def freeze(pids: Collection[int]) -> None:
    """Stop the processes that still exist by SIGSTOP, and wait until none of their threads runs.

    The signal stops one thread first. On a busy machine the others go on for some milliseconds.
    """
    send(signal.SIGSTOP, pids)
    while any(_is_running(pid) for pid in pids):
        time.sleep(POLL)  # Who is not the parent is not told of a stop.


def _is_running(pid: int) -> bool:
    states = set[str]()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # the thread has ended meanwhile
            states.add(stat.read_text().rpartition(")")[2].split()[0])
    return not states <= set("TtZX")


def gone(pids: Collection[int], within: float) -> bool:
    """Wait up to `within` seconds for the end of all processes, and say whether they have ended.

    A process for which no parent waits has ended too.
    """
    deadline = time.monotonic() + within
    while any(started_at(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)  # The end of a process that is not a child sends no signal.
    return True


def guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """End the process group `pid` and remove its folder when this process ends, even by SIGKILL.

    The folder above is removed too, if it is empty.
    """
    command = ["/bin/sh", "-c", GUARD, "guard", str(pid), str(folder)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
