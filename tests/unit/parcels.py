"""The workflow that tests of the core are about: small, and different in each test, which writes
the steps.
"""

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from pydantic import BaseModel

from workflow_ray import Cancel, Pause, Repeat, Retry, Run, Status, Stay, Workflow
from workflow_ray.records import Cause, Record, RunState, Version, new_run_id


class Stage(Status):
    NEW = 1
    DONE = 2


class Route(Status):
    NEW = 1
    PACKED = 2
    SENT = 3
    LOST = 4


class Parcel(BaseModel):
    weight: int = 0
    label: str = ""


ParcelRun: TypeAlias = Run[Parcel, Stage]
RoutedRun: TypeAlias = Run[Parcel, Route]
Parcels: TypeAlias = Workflow[Parcel, Stage]


def parcels(partitions: int = 16) -> Parcels:
    """NEW leads to DONE, once the test has said how."""
    return Workflow("parcels", Parcel, Stage, partitions=partitions)


def packing(partitions: int = 16) -> Parcels:
    """A workflow of one step that always succeeds."""
    workflow = parcels(partitions)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    return workflow


def routed(*, attempts: int = 3, on_failure: Route | None = Route.LOST) -> Workflow[Parcel, Route]:
    """NEW -> PACKED -> SENT, and LOST beside it.

    PACKED may be entered again; its step may return every halt.
    """
    workflow = Workflow("routed", Parcel, Route)

    @workflow.step(Route.NEW, retry=Retry(attempts=attempts))
    async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.LOST]:
        return Route.PACKED

    @workflow.step(Route.PACKED, retry=Retry(attempts=attempts), on_failure=on_failure)
    async def send(
        run: RoutedRun,
    ) -> Literal[Route.SENT, Route.PACKED] | Cancel | Pause | Repeat | Stay:
        return Route.SENT

    return workflow


def record(**changes: Any) -> Record:
    """A run of `routed` that has just entered PACKED."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    packed = Record(
        run_id=new_run_id(),
        workflow="routed",
        foreign_id="parcel-1",
        status=Route.PACKED.value,
        run_state=RunState.RUNNING,
        version=Version(2),
        visit=Version(2),
        cause=Cause.STEP,
        partition=5,
        data=b'{"weight":1,"label":""}',
        created_at=now,
        updated_at=now,
    )
    return msgspec.structs.replace(packed, **changes)
