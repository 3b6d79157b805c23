"""The workflows whose runs wait: for a callback, for a timeout, for their children."""

from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Children, Run, Status, Workflow


class GateStatus(Status):
    ARRIVED = 1
    WAITING = 2
    PASSED = 3


class Visit(BaseModel):
    number: int
    note: str = "x" * 100


class Ticket(BaseModel):
    number: int


GateRun: TypeAlias = Run[Visit, GateStatus]
gates = Workflow("gates", Visit, GateStatus)


@gates.step(GateStatus.ARRIVED)
async def arrive(run: GateRun) -> Literal[GateStatus.WAITING]:
    return GateStatus.WAITING


@gates.callback(GateStatus.WAITING)
async def admit(run: GateRun, message: Ticket) -> Literal[GateStatus.PASSED]:
    run.data.number = message.number
    return GateStatus.PASSED


class AlarmStatus(Status):
    SET = 1
    RUNG = 2


AlarmRun: TypeAlias = Run[Visit, AlarmStatus]
alarms = Workflow("alarms", Visit, AlarmStatus)

AFTER = 0.2
"""The seconds until an alarm is due."""


@alarms.timeout(AlarmStatus.SET, after=AFTER)
async def ring(run: AlarmRun) -> Literal[AlarmStatus.RUNG]:
    return AlarmStatus.RUNG


class PartStatus(Status):
    NEW = 1
    DONE = 2


class Part(BaseModel):
    number: int


PartRun: TypeAlias = Run[Part, PartStatus]
parts = Workflow("parts", Part, PartStatus)


@parts.step(PartStatus.NEW)
async def make(run: PartRun) -> Literal[PartStatus.DONE]:
    return PartStatus.DONE


class WholeStatus(Status):
    PLANNED = 1
    STARTED = 2
    ASSEMBLED = 3


class Whole(BaseModel):
    children: int
    completed: int = 0


WholeRun: TypeAlias = Run[Whole, WholeStatus]
wholes = Workflow("wholes", Whole, WholeStatus)


@wholes.step(WholeStatus.PLANNED)
async def plan(run: WholeRun) -> Literal[WholeStatus.STARTED]:
    for number in range(run.data.children):
        run.start(parts, f"{run.foreign_id}-{number}", Part(number=number))
    return WholeStatus.STARTED


@wholes.children(WholeStatus.STARTED, parts)
async def assemble(
    run: WholeRun, children: Children[Part, PartStatus]
) -> Literal[WholeStatus.ASSEMBLED]:
    run.data.completed = children.completed
    return WholeStatus.ASSEMBLED
