"""Kills a local runtime with SIGKILL before each SQL statement and each commit that one run's
transitions make, in turn.

    python kill_points.py FOLDER

Prints one line of JSON for each point: which statement came next, and what the file holds once a
second process has finished the run. Every scenario is a forked process of its own, so that only the
first has to import anything.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel
from sqlalchemy import event
from sqlalchemy.pool import Pool

from workflow_ray import Retry, Run, Runtime, Status, Workflow

KEY = "the-one"


class Stage(Status):
    FIRST = 1
    SECOND = 2
    THIRD = 3
    LAST = 4


class Count(BaseModel):
    steps: int = 0


CountRun: TypeAlias = Run[Count, Stage]
counting = Workflow("counting", Count, Stage)


@counting.step(Stage.FIRST)
async def first(run: CountRun) -> Literal[Stage.SECOND]:
    run.data.steps += 1
    return Stage.SECOND


@counting.step(Stage.SECOND, retry=Retry(attempts=10, backoff=timedelta(milliseconds=10)))
async def second(run: CountRun) -> Literal[Stage.THIRD]:
    if run.attempt == 0:
        raise RuntimeError("the first attempt fails, so that an event has to wait in the outbox")
    run.data.steps += 1
    return Stage.THIRD


@counting.step(Stage.THIRD)
async def third(run: CountRun) -> Literal[Stage.LAST]:
    run.data.steps += 1
    return Stage.LAST


class Trap:
    """Ends this process before the statement numbered `at` of those in writing transactions,
    counted from when it is armed.

    It listens to SQLite itself, whatever the adapter sends through; COMMIT counts as a statement.
    """

    def __init__(self, at: int, note: Path) -> None:
        self.armed = False
        self._left = at
        self._note = note
        event.listen(Pool, "connect", self._watch)

    def _watch(self, connection: sqlite3.Connection, _: object) -> None:
        writing = False

        def statement(sql: str) -> None:
            nonlocal writing
            writing = writing or sql.startswith("BEGIN IMMEDIATE")
            if writing:
                self._pass(sql)
            if sql == "COMMIT":
                writing = False

        connection.set_trace_callback(statement)

    def _pass(self, sql: str) -> None:
        if not self.armed:
            return
        self._left -= 1
        if self._left == 0:
            self._note.write_text(" ".join(sql.replace('"', "").split())[:60])
            os.kill(os.getpid(), signal.SIGKILL)


async def finish_the_run(records: str, trap: Trap | None) -> None:
    """Its transitions, and nothing else, are trapped: by then each role has been taken and has
    worked.
    """
    async with Runtime.local(counting, records=records) as runtime:
        client = runtime.client(counting)
        await (await client.trigger("warm-up", Count(), idempotency_key="warm-up")).wait()
        if trap is not None:
            trap.armed = True
        await (await client.trigger(KEY, Count(), idempotency_key=KEY)).wait()
        if trap is not None:
            trap.armed = False


def scenario(records: str, kill_at: int | None = None, note: Path = Path()) -> None:
    asyncio.run(finish_the_run(records, None if kill_at is None else Trap(kill_at, note)))


def in_a_fork(work: Callable[[], None]) -> bool:
    """Run it in a process of its own; whether that lived to the end.

    Raises where it failed in another way.
    """
    if (child := os.fork()) == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the scenario failed: {status}")
    return True


def found(file: Path) -> dict[str, object]:
    """What the file holds of the run, read by SQLite alone."""
    with sqlite3.connect(file) as connection:
        query = "SELECT run_id, status, run_state, version, data FROM records WHERE foreign_id = ?"
        runs = connection.execute(query, (KEY,)).fetchall()
        history = connection.execute(
            "SELECT version, status FROM history WHERE run_id = ? ORDER BY version", (runs[0][0],)
        ).fetchall()
    return {"runs": [[*run[1:4], json.loads(run[4])] for run in runs], "history": history}


def main(folder: Path) -> None:
    point, alive = 0, False
    while not alive:
        point += 1
        file, note = folder / f"{point}.db", folder / f"{point}.txt"
        records = f"sqlite:///{file}"
        alive = in_a_fork(partial(scenario, records, point, note))
        if not alive:
            in_a_fork(partial(scenario, records))
        print(json.dumps({"before": note.read_text() if note.exists() else None, **found(file)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
