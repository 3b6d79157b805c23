"""A workflow with middleware that notes each call, and a worker that runs it."""

import asyncio
import os
import sys
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import FunctionCall, Proceed, Run, Status, Workflow

WORK = 0.5
"""Seconds that a function takes."""
JOURNAL: list[Path] = []  # the file, when it is known
TENANT: ContextVar[str] = ContextVar("tenant", default="none")


class AuditStatus(Status):
    ASKED = 1
    READ = 2
    WAITING = 3
    SIGNED = 4


class Audit(BaseModel):
    tenants: list[str] = []  # as the functions saw them


class Line(msgspec.Struct, frozen=True):
    """A line of the journal."""

    what: str  # begun or done
    pid: int
    kind: str
    foreign_id: str
    attempt: int
    version: int  # of the run as it was when the call began


AuditRun: TypeAlias = Run[Audit, AuditStatus]


async def noted(call: FunctionCall, proceed: Proceed) -> object:
    note("begun", call)
    returned = await proceed()
    note("done", call)
    return returned


async def for_tenant(call: FunctionCall, proceed: Proceed) -> object:
    assert call.run is not None, "the workflow has neither connectors nor schedules"
    TENANT.set(f"tenant of {call.run.foreign_id}")
    return await proceed()


audits = Workflow("audits", Audit, AuditStatus, middleware=[noted, for_tenant])


@audits.step(AuditStatus.ASKED)
async def read(run: AuditRun) -> Literal[AuditStatus.READ]:
    await asyncio.sleep(WORK)
    run.data.tenants.append(TENANT.get())
    return AuditStatus.READ


@audits.step(AuditStatus.READ)
def judge(run: AuditRun) -> Literal[AuditStatus.WAITING]:
    time.sleep(WORK)  # a plain function runs in a thread, which it may block
    run.data.tenants.append(TENANT.get())
    return AuditStatus.WAITING


@audits.callback(AuditStatus.WAITING)
async def sign(run: AuditRun, name: str) -> Literal[AuditStatus.SIGNED]:
    await asyncio.sleep(WORK)
    run.data.tenants.append(TENANT.get())
    return AuditStatus.SIGNED


@audits.on_complete
async def archive(run: AuditRun) -> None:
    await asyncio.sleep(WORK)


def note(what: str, call: FunctionCall) -> None:
    assert call.run is not None, "the workflow has neither connectors nor schedules"
    line = Line(what, os.getpid(), call.kind, call.run.foreign_id, call.attempt, call.run.version)
    for journal in JOURNAL:
        with journal.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def read_journal(journal: Path) -> list[Line]:
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    return [msgspec.json.decode(line, type=Line) for line in lines if line.endswith(b"\n")]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([audits], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
