"""Kills a local runtime with SIGKILL before SQL statements of a run that waits for all it can.

    python -m tests.end_to_end.wait_points FOLDER FIRST EVERY

The run stores the result of a side effect, starts children, and waits for the end of each, for the
last of them, for a callback and for a timeout. It prints one line of JSON for each point, from
statement number FIRST on, for each EVERY-th statement: the next statement, and what a second
process that has finished the run reads.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

from pydantic import BaseModel

from tests.end_to_end.kill_points import KEY, Trap, run_in_fork
from workflow_ray import Children, Handle, Run, Runtime, Status, Stay, Workflow

LEGS = 2


class At(Status):
    PLANNED = 1
    GUIDED = 2
    GATHERING = 3
    ASKED = 4
    HELD = 5
    DONE = 6


class Leg(Status):
    AHEAD = 1
    TRAVELLED = 2


class Trip(BaseModel):
    notes: list[str] = []  # what the run was told, in order


class Confirmation(BaseModel):
    text: str


TripRun: TypeAlias = Run[Trip, At]
LegRun: TypeAlias = Run[Trip, Leg]
trips = Workflow("trips", Trip, At)
legs = Workflow("legs", Trip, Leg)


@legs.step(Leg.AHEAD)
async def travel(run: LegRun) -> Literal[Leg.TRAVELLED]:
    return Leg.TRAVELLED


@trips.step(At.PLANNED)
async def plan(run: TripRun) -> Literal[At.GUIDED]:
    run.data.notes.append(await run.once("pay", pay))
    for number in range(LEGS):
        run.start(legs, f"{run.foreign_id}-{number}", Trip())
    return At.GUIDED


async def pay() -> str:
    return uuid4().hex


@trips.child(At.GUIDED, legs)
async def guide(run: TripRun, leg: LegRun) -> Literal[At.GATHERING] | Stay:
    run.data.notes.append(leg.foreign_id)
    return At.GATHERING if len(run.data.notes) == 1 + LEGS else Stay()


@trips.children(At.GATHERING, legs)
async def gather(run: TripRun, children: Children[Trip, Leg]) -> Literal[At.ASKED]:
    run.data.notes.append(f"{children.completed} of {children.started}")
    return At.ASKED


@trips.callback(At.ASKED)
async def confirm(run: TripRun, message: Confirmation) -> Literal[At.HELD]:
    run.data.notes.append(message.text)
    return At.HELD


@trips.timeout(At.HELD, after=0.01)
async def lapse(run: TripRun) -> Literal[At.DONE]:
    return At.DONE


async def travel_once(records: str, trap: Trap | None) -> dict[str, object]:
    """Finish the run, and return what is stored. Only its transitions are trapped."""
    async with Runtime.local(trips, legs, records=records) as runtime:
        client = runtime.client(trips)
        if trap is not None:
            warm_up = await client.trigger("warm-up", Trip())
            await warm_up.wait_for(At.ASKED)
            await warm_up.callback(confirm, Confirmation(text="warm-up"))
            await warm_up.wait()
            trap.armed = True
        handle = await client.trigger(KEY, Trip(), idempotency_key=KEY)
        await handle.wait_for(At.ASKED)
        await handle.callback(confirm, Confirmation(text="yes"), idempotency_key=KEY)
        await handle.wait()
        if trap is not None:
            trap.armed = False
        return await read(handle)


async def read(handle: Handle[Trip, At]) -> dict[str, object]:
    run = await handle.get()
    return {
        "status": run.status.name,
        "run_state": run.run_state.name,
        "notes": run.data.notes,
        "history": [
            [entry.version, entry.status.name, entry.cause.name] for entry in await handle.history()
        ],
        "children": [
            [child.foreign_id, child.run_state.name, child.version]
            async for child in handle.children(legs)
        ],
    }


def scenario(records: str, found: Path, kill_at: int | None = None, note: Path = Path()) -> None:
    trap = None if kill_at is None else Trap(kill_at, note)
    found.write_text(json.dumps(asyncio.run(travel_once(records, trap))))


def main(folder: Path, first: int, every: int) -> None:
    point, alive = first - every, False
    while not alive:
        point += every
        file, note, found = (folder / f"{point}.{kind}" for kind in ("db", "txt", "json"))
        records = f"sqlite:///{file}"
        alive = run_in_fork(partial(scenario, records, found, point, note))
        if not alive:
            run_in_fork(partial(scenario, records, found))
        before = note.read_text() if note.exists() else None
        print(json.dumps({"before": before, **json.loads(found.read_text())}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
