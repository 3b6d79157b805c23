"""Kills a local runtime with SIGKILL before each SQL statement and each commit of one run.

    python kill_points.py FOLDER

It prints one line of JSON for each point: the next statement, and what the file holds after a
second process has finished the run. Each scenario is a forked process, so that only the first one
imports modules.
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
    """Ends this process before statement number `at` of the writing transactions.

    It counts from when it is armed, and listens to SQLite itself. COMMIT counts as a statement.
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
    """Finish the run. Only its transitions are trapped: all roles are acquired before and run."""
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


def run_in_fork(work: Callable[[], None]) -> bool:
    """Run a function in a forked process. Returns whether the process lived to the end.

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


def read_run(file: Path) -> dict[str, object]:
    """Read what the file holds of the run, by SQLite alone."""
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
        alive = run_in_fork(partial(scenario, records, point, note))
        if not alive:
            run_in_fork(partial(scenario, records))
        print(json.dumps({"before": note.read_text() if note.exists() else None, **read_run(file)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
