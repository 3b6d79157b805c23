"""The process of `workflow-ray dev` that has the user's code. Another one follows each change."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from workflow_ray.cli.log_lines import configure
from workflow_ray.cli.options import DevOptions
from workflow_ray.cli.output import complain, say, write
from workflow_ray.cli.transition_lines import Seen, TransitionLines
from workflow_ray.definition import Workflow, load
from workflow_ray.errors import StoreError, WorkflowError
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.stop_signals import StopSignals

DEADLINE = 5.0
"""Seconds that running steps get to finish before the code is loaded again."""
POLL = 0.1
"""Seconds between two looks for new versions; more where a look takes long."""
CHUNK = 4096


def run_process(references: Sequence[str], options: DevOptions, seen: Path) -> None:
    """Run workflows until SIGTERM, or until standard input ends.

    Args:
        references: The workflows.
        options: Where they run.
        seen: The file in which such processes note what they have printed.
    """
    configure(logging.WARNING, "%(levelname)s %(message)s")
    workflows = [load(reference, [os.getcwd()]) for reference in references]
    asyncio.run(_Process(workflows, options, seen).run())


class _Process:
    """Runs the workflows, and prints the versions of their runs."""

    def __init__(
        self, workflows: Sequence[Workflow[Any, Any]], options: DevOptions, path: Path
    ) -> None:
        self._names = ", ".join(workflow.name for workflow in workflows)
        # An edit that is taken back leads to code that was deployed before.
        self._runtime = Runtime.local(
            *workflows,
            records=options.records,
            events=options.events,
            timeouts=options.timeouts,
            rollback=True,
            replace=options.replace,
            strand=options.strand,
        )
        self._clock = SystemClock()
        self._lines = TransitionLines(workflows, self._clock.now())
        self._path = path

    async def run(self) -> None:
        # The signals are received from here on, because one that ended the process between two
        # statements would leave its roles to a recovery.
        with StopSignals() as signals:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _end_with_parent)
            await self._begin()
            async with self._runtime as runtime:
                printing = asyncio.create_task(self._print(runtime.store, signals.first))
                try:
                    if not signals.first.is_set():
                        place = self._runtime.urls.places
                        say(f"Running {self._names} on {place}; SIGTERM or Ctrl-C stops it.")
                        await runtime.serve(deadline=DEADLINE)
                finally:
                    printing.cancel()
                    with suppress(asyncio.CancelledError):
                        await printing
            await self._end()

    async def _begin(self) -> None:
        """Go on where the previous process has ended, or else begin with what comes now."""
        if self._path.exists():
            self._lines.seen = msgspec.json.decode(self._path.read_bytes(), type=Seen)
            self._path.unlink()
            return
        with suppress(StoreError):  # if the store does not exist yet, it has no runs
            async with open_beside(self._runtime.urls.records, self._clock) as records:
                await self._lines.begin(records)

    async def _print(self, records: RecordStore, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                write(*await self._lines.look(records))
            except WorkflowError as error:
                if stopping.is_set():  # the store is closed; the last look opens it again
                    return
                complain(f"{error} Transitions are read again in a moment.")
            await asyncio.sleep(max(POLL, 4 * (loop.time() - began)))

    async def _end(self) -> None:
        """Print what was written until the roles were released, and note what is printed."""
        async with open_beside(self._runtime.urls.records, self._clock) as records:
            write(*await self._lines.look(records))
        self._path.write_bytes(msgspec.json.encode(self._lines.seen))


def _end_with_parent() -> None:
    """Stop in an orderly way if standard input has ended: the parent has died, or wants it."""
    if not os.read(sys.stdin.fileno(), CHUNK):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        os.kill(os.getpid(), signal.SIGTERM)
