"""Transactional steps that do what the run's data says, on a server and in a file."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from workflow_ray import Fatal, Pause, Retry, Run, Status, Workflow

LIMIT = 2.0
RETRY = Retry(attempts=2, backoff=timedelta(milliseconds=10))
INSERT = text("INSERT INTO ledger VALUES (:number)")


class At(Status):
    OPEN = 1
    DONE = 2
    FAILED = 3


class Row(BaseModel):
    number: int
    does: Literal[
        "write", "fail", "hang", "go on", "pause", "commit", "undo", "wait", "start", "once"
    ] = "write"


RowRun: TypeAlias = Run[Row, At]
children = Workflow("children", Row, At, entry=At.FAILED)
on_server = Workflow("ledger", Row, At)
in_file = Workflow("ledger", Row, At)
begun, released = threading.Event(), threading.Event()
"""Set by a step that waits, and by the test that lets it go on."""


@children.callback(At.OPEN)
async def close(run: RowRun, message: str) -> Literal[At.DONE]:
    return At.DONE


async def double(number: int) -> int:
    return 2 * number


async def hang(*, goes_on: bool) -> None:
    """Take longer than the time limit. With `goes_on` the cancellation is caught."""
    with suppress(*[asyncio.CancelledError] if goes_on else []):
        await asyncio.sleep(3600)


def start_child(run: RowRun) -> None:
    run.start(children, "taken", Row(number=0))


@on_server.step(At.OPEN, transactional=True, retry=RETRY, timeout=LIMIT, on_failure=At.FAILED)
async def write(run: RowRun, session: AsyncSession) -> Literal[At.DONE] | Pause:
    row = {"number": run.data.number}
    await session.execute(INSERT, row)
    match run.data.does:
        case "fail":
            raise Fatal("after its row was written")
        case "hang" | "go on":
            await hang(goes_on=run.data.does == "go on")
        case "pause":
            return Pause("look at the row")
        case "commit":
            await session.commit()
            await session.execute(INSERT, row)
        case "undo":
            await session.rollback()
        case "wait":
            begun.set()
            await asyncio.to_thread(released.wait, LIMIT)
        case "start":
            start_child(run)
        case "once":
            run.data.number = await run.once("double", double, run.data.number)
        case "write":
            pass
    return At.DONE


@in_file.step(At.OPEN, transactional=True, retry=RETRY, timeout=LIMIT, on_failure=At.FAILED)
def write_in_file(run: RowRun, session: Session) -> Literal[At.DONE] | Pause:
    row = {"number": run.data.number}
    session.execute(INSERT, row)
    match run.data.does:
        case "fail":
            raise Fatal("after its row was written")
        case "hang":
            threading.Event().wait(2 * LIMIT)
        case "wait":
            threading.Event().wait(LIMIT / 3)
        case "pause":
            return Pause("look at the row")
        case "commit":
            session.commit()
            session.execute(INSERT, row)
        case "undo":
            session.rollback()
        case "start":
            start_child(run)
        case _:
            pass
    return At.DONE
