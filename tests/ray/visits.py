"""Workflows that wait for all that a run can wait for."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

from pydantic import BaseModel

from workflow_ray import (
    Children,
    Client,
    ConnectorEvent,
    FunctionCall,
    Proceed,
    Retry,
    Run,
    Status,
    Stay,
    Workflow,
    source,
)

STAGES = 3
"""Children of each visit."""
TICKS = "ticks"
EVENTS = ("ann", "bob", "cleo")
"""The keys of the events of the log."""


class Stage(BaseModel):
    number: int
    middleware: str = ""
    """What the middleware has noted of the step."""


class StageStatus(Status):
    AHEAD = 1
    TRAVELLED = 2


async def noting(call: FunctionCall, proceed: Proceed) -> object:
    returned = await proceed()
    if call.run is not None:
        call.run.data.middleware = f"{call.kind} {call.function}, attempt {call.attempt}"
    return returned


stages = Workflow("stages", Stage, StageStatus, middleware=[noting])


@stages.step(StageStatus.AHEAD)
async def travel(run: Run[Stage, StageStatus]) -> Literal[StageStatus.TRAVELLED]:
    return StageStatus.TRAVELLED


@stages.schedule(TICKS, every=1)
def tick(at: datetime) -> Stage:
    return Stage(number=at.second)


class Visit(BaseModel):
    journal: str = ""
    """The file that the side effect adds its result to, and the hook the foreign id."""
    notes: list[str] = []
    """What the run was told, in order."""


class VisitStatus(Status):
    PLANNED = 1
    UNDER_WAY = 2
    ASKED = 3
    LEAVING = 4
    LEFT = 5


class Answer(BaseModel):
    text: str


VisitRun: TypeAlias = Run[Visit, VisitStatus]
visits = Workflow("visits", Visit, VisitStatus, entry=VisitStatus.LEAVING)


@visits.step(VisitStatus.PLANNED, retry=Retry(attempts=2, backoff=0.1))
async def plan(run: VisitRun) -> Literal[VisitStatus.UNDER_WAY]:
    run.data.notes.append(await run.once("ticket", buy, Path(run.data.journal)))
    if run.attempt == 0:
        raise ValueError("the first attempt fails after its side effect")
    for number in range(STAGES):
        run.start(stages, f"{run.foreign_id}-{number}", Stage(number=number))
    return VisitStatus.UNDER_WAY


async def buy(journal: Path) -> str:
    """A side effect, with another result each time."""
    ticket = uuid4().hex
    note(journal, ticket)
    return ticket


@visits.child(VisitStatus.UNDER_WAY, stages)
async def pass_stage(run: VisitRun, stage: Run[Stage, StageStatus]) -> Stay:
    run.data.notes.append(f"stage {stage.data.number}")
    return Stay()


@visits.children(VisitStatus.UNDER_WAY, stages)
async def arrive(
    run: VisitRun, children: Children[Stage, StageStatus]
) -> Literal[VisitStatus.ASKED]:
    read = sorted([stage.data.number async for stage in children])
    run.data.notes.append(f"{children.completed} of {children.started}: {read}")
    return VisitStatus.ASKED


@visits.callback(VisitStatus.ASKED)
async def answer(run: VisitRun, message: Answer) -> Literal[VisitStatus.LEAVING]:
    run.data.notes.append(message.text)
    return VisitStatus.LEAVING


@visits.timeout(VisitStatus.LEAVING, after=0.5)
async def leave(run: VisitRun) -> Literal[VisitStatus.LEFT]:
    run.data.notes.append("left")
    return VisitStatus.LEFT


@source
async def log(offset: int) -> AsyncIterator[tuple[int, bytes, str]]:
    for number, key in enumerate(EVENTS[offset:], offset):
        yield number, f"event {number}".encode(), key


@visits.connector("log", log)
async def on_event(client: Client[Visit, VisitStatus], event: ConnectorEvent) -> None:
    data = Visit(notes=[event.data.decode()])
    await client.trigger(event.key, data, start_at=VisitStatus.LEAVING)


@visits.on_complete
async def thank(run: VisitRun) -> None:
    if run.data.journal:
        note(Path(run.data.journal), run.foreign_id)


DEADLY = "deadly"
"""The message whose first attempt ends its process."""


class Question(BaseModel):
    journal: str
    """The file that each attempt adds the foreign id and its process to."""
    answers: list[str] = []


class QuestionStatus(Status):
    OPEN = 1
    ANSWERED = 2


QuestionRun: TypeAlias = Run[Question, QuestionStatus]
questions = Workflow("questions", Question, QuestionStatus)


@questions.callback(QuestionStatus.OPEN)
async def reply(run: QuestionRun, message: Answer) -> Literal[QuestionStatus.ANSWERED]:
    """Return only in another process than the one that made the first attempt."""
    journal = Path(run.data.journal)
    note(journal, f"{run.foreign_id} {os.getpid()}")
    processes = noted(journal, run.foreign_id)
    if message.text == DEADLY and len(processes) == 1:
        os._exit(1)
    while len(set(noted(journal, run.foreign_id))) == 1:
        await asyncio.sleep(0.01)
    run.data.answers.append(message.text)
    return QuestionStatus.ANSWERED


def note(journal: Path, what: str) -> None:
    with journal.open("a") as file:
        file.write(f"{what}\n")


def noted(journal: Path, foreign_id: str) -> list[int]:
    """The processes that have called a function of the run, in order."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [int(pid) for key, pid in map(str.split, lines) if key == foreign_id]
