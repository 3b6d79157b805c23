"""Starts worker processes, which run `chores` unless a test says otherwise, and checks the runs."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from tests.end_to_end.chores import Chore, ChoreStatus
from tests.servers import processes
from workflow_ray import Handle, RunState
from workflow_ray.client import Entry
from workflow_ray.records import Cause

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=90)
POLL = 0.005
AT_ONCE = 100
"""Histories that are read concurrently."""


class WorkerProcess:
    """A worker: a process, and after each restart another one."""

    def __init__(
        self, journal: Path, lease: float, *urls: str, module: str = "tests.end_to_end.chores"
    ) -> None:
        self._command = [
            sys.executable,
            "-m",
            module,
            str(journal),
            str(lease),
            *urls,
        ]
        self.process: Process | None = None
        self.frozen = set[int]()  # the processes that were stopped for a time

    async def start(self) -> None:
        """Start the worker, and wait until it may run roles."""
        process = self.process = await asyncio.create_subprocess_exec(
            *self._command, cwd=ROOT, stdout=PIPE
        )
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line == b"ready\n", f"the worker ended: {line!r}"

    async def terminate(self) -> None:
        """Send SIGTERM, and wait for its orderly end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await self.process.wait() == 0, "a worker ends without an error after a signal"

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def freeze(self) -> None:
        assert self.process is not None
        self.frozen.add(self.process.pid)
        processes.freeze([self.process.pid])

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def workers(
    count: int, journal: Path, lease: float, *urls: str, module: str = "tests.end_to_end.chores"
) -> AsyncGenerator[list[WorkerProcess]]:
    """Start this many workers, which share the roles. Kills them at the end."""
    some = [WorkerProcess(journal, lease, *urls, module=module) for _ in range(count)]
    try:
        for worker in some:
            await worker.start()
        yield some
    finally:
        for worker in some:
            await worker.kill()


def worker_of(pid: int, some: Sequence[WorkerProcess]) -> WorkerProcess:
    """Return the worker whose process has the id."""
    (found,) = [worker for worker in some if worker.process and worker.process.pid == pid]
    return found


async def until(look: Callable[[], T | None]) -> T:
    """Wait until a function returns something true, by what the workers note. Returns that."""
    async with asyncio.timeout(60):
        while not (found := look()):
            await asyncio.sleep(POLL)
    return found


async def check(handles: Sequence[Handle[Chore, ChoreStatus]]) -> None:
    """Wait for the runs, and check that each is completed and that no attempt was counted.

    The history of each has each version once.
    """
    for first in range(0, len(handles), AT_ONCE):
        await asyncio.gather(*map(_check, handles[first : first + AT_ONCE]))


async def _check(handle: Handle[Chore, ChoreStatus]) -> None:
    run = await handle.wait(timeout=PATIENCE)
    history = await handle.history()
    assert run.run_state is RunState.COMPLETED
    assert [entry.version for entry in history] == list(range(1, run.version + 1))
    assert [entry.cause for entry in history] == [Cause.TRIGGER, Cause.STEP, Cause.STEP], describe(
        history
    )


def describe(history: Sequence[Entry[Chore, ChoreStatus]]) -> str:
    return "; ".join(map(str, history))
