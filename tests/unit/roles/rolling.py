"""A workflow as older and newer code have it: version 2 of the data counts in grams."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from tests.unit.bench import Bench
from workflow_ray import Run, Status, Workflow
from workflow_ray.records import HistoryEntry, Record, RunId


class Leg(Status):
    PICKED = 1
    PACKED = 2
    WEIGHED = 3
    PAID = 4


class Kilograms(BaseModel):
    weight: int = 0
    seen: list[str] = []


class Grams(BaseModel):
    grams: int = 0
    seen: list[str] = []


OldRun: TypeAlias = Run[Kilograms, Leg]
NewRun: TypeAlias = Run[Grams, Leg]
Old: TypeAlias = Workflow[Kilograms, Leg]
New: TypeAlias = Workflow[Grams, Leg]
NEWER = "its data is of version 2, and this code knows version 1"


def old_code() -> Old:
    """PICKED -> PACKED -> (batch) WEIGHED -> (callback) PAID."""
    workflow = Workflow("rolling", Kilograms, Leg)

    @workflow.step(Leg.PICKED)
    async def pick(run: OldRun) -> Literal[Leg.PACKED]:
        run.data.seen.append("old pick")
        return Leg.PACKED

    @workflow.batch_step(Leg.PACKED, max_wait=0)
    async def weigh(runs: list[OldRun]) -> list[Literal[Leg.WEIGHED] | Exception]:
        for run in runs:
            run.data.seen.append("old weigh")
        return [Leg.WEIGHED for _ in runs]

    @workflow.callback(Leg.WEIGHED)
    async def paid(run: OldRun, message: int) -> Literal[Leg.PAID]:
        run.data.seen.append("old paid")
        return Leg.PAID

    return workflow


def migrate(data: dict[str, Any]) -> dict[str, Any]:
    data["grams"] = data.pop("weight") * 1000
    return data


def new_code(
    migration: Callable[[dict[str, Any]], dict[str, Any]] = migrate, *, more: bool = False
) -> New:
    """The same with data of version 2, and with `more` with another callback."""
    workflow = Workflow("rolling", Grams, Leg, data_version=2)
    workflow.migrate(1)(migration)

    @workflow.step(Leg.PICKED)
    async def pick(run: NewRun) -> Literal[Leg.PACKED]:
        run.data.seen.append("new pick")
        return Leg.PACKED

    @workflow.batch_step(Leg.PACKED, max_wait=0)
    async def weigh(runs: list[NewRun]) -> list[Literal[Leg.WEIGHED] | Exception]:
        for run in runs:
            run.data.seen.append("new weigh")
        return [Leg.WEIGHED for _ in runs]

    @workflow.callback(Leg.WEIGHED)
    async def paid(run: NewRun, message: int) -> Literal[Leg.PAID]:
        run.data.seen.append("new paid")
        return Leg.PAID

    if more:

        @workflow.callback(Leg.WEIGHED)
        async def given(run: NewRun, message: int) -> Literal[Leg.PAID]:
            return Leg.PAID

    return workflow


async def stored(bench: Bench, run_id: RunId) -> Record:
    (record,) = await bench.store.lookup([run_id])
    assert record is not None
    return record


def check_versions(entries: list[HistoryEntry]) -> None:
    """Versions of data never go back, and each is the one that its bytes have."""
    versions = [entry.data_version for entry in entries if entry.data is not None]
    assert versions == sorted(versions)
    for entry in entries:
        if entry.data is not None:
            assert (b'"grams"' in entry.data) == (entry.data_version == 2), entry
