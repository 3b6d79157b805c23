"""Workflows that wait for everything that a run can wait for, and note in a run's data what they
were called for.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Children,
    FlowControl,
    Repeat,
    Retention,
    Retry,
    Run,
    Status,
    Stay,
    Workflow,
)
from workflow_ray.ports import Clock

PARTITIONS = 2
RETRY = Retry(attempts=50, backoff=timedelta(seconds=1), factor=1.0)
FEW = Retry(attempts=2, backoff=timedelta(seconds=1))
EARLY = 20.0
NUDGE, CURFEW, TIRE = 5.0, 12.0, 20.0
LATE, GIVE_UP, OVERDUE = 30.0, 60.0, 40.0
AFTER = {
    "nudge": NUDGE,
    "curfew": 0.0,
    "tire": TIRE,
    "late": LATE,
    "give_up": GIVE_UP,
    "overdue": OVERDUE,
}
"""Each timeout's least seconds from the beginning of its visit."""
TICK = 300.0
SENDERS = 2
"""Boxes that are sent at a time."""
KEPT = 1000.0
"""Seconds for which completed chimes are kept."""


class Leg(Status):
    START = 1
    WAIT = 2
    GATHER = 3
    EACH = 4
    DONE = 5
    FAILED = 6


class Box(Status):
    PACKED = 1
    HELD = 2
    SENT = 3


class Chime(Status):
    NEW = 1
    DONE = 2


class BoxPlan(BaseModel):
    """A child that a trip starts."""

    shared: str | None = None  # its foreign id; None: one of its own
    joins: bool = False
    cascades: bool = False
    fate: Literal["sent", "cancelled", "overdue", "held"] = "sent"


class Trip(BaseModel):
    """`noted` tells what has moved the run, one text for each call that was committed."""

    to: Literal["WAIT", "GATHER", "EACH"] = "WAIT"
    boxes: list[BoxPlan] = []
    rounds: int = 0  # how often it may come back to START
    noted: list[str] = []


SCRUBBED = {"trips": b'{"to":"WAIT","boxes":[],"rounds":0,"noted":["scrubbed"]}'}
"""What the scrubber of a workflow keeps, if it has one."""


class Content(BaseModel):
    fate: Literal["sent", "cancelled", "overdue", "held"] = "sent"
    noted: list[str] = []


class Word(BaseModel):
    """What a callback of a trip or a box is told."""

    label: str
    then: Literal["stay", "again", "wait", "gather", "done", "fail"]


class Tick(BaseModel):
    at: datetime


TripRun: TypeAlias = Run[Trip, Leg]
BoxRun: TypeAlias = Run[Content, Box]
ChimeRun: TypeAlias = Run[Tick, Chime]
Onward: TypeAlias = Literal[Leg.START, Leg.DONE]


GOES: dict[str, Literal[Leg.WAIT, Leg.GATHER, Leg.DONE]] = {
    "wait": Leg.WAIT,
    "gather": Leg.GATHER,
    "done": Leg.DONE,
}


@dataclass
class Trips:
    """The workflows. Their functions sometimes take some time, or fail."""

    clock: Clock
    rng: random.Random
    faults: list[str] = field(default_factory=list[str])
    """What a function found wrong."""

    def __post_init__(self) -> None:
        self.trips = Workflow("trips", Trip, Leg, partitions=PARTITIONS)
        self.boxes = Workflow("boxes", Content, Box, partitions=PARTITIONS)
        self.chimes = Workflow(
            "chimes", Tick, Chime, partitions=PARTITIONS, retention=Retention(completed=KEPT)
        )
        self._declare_start()
        self._declare_wait()
        self._declare_gather()
        self._declare_each()
        self._declare_boxes()
        self._declare_chimes()
        self._declare_scrubber()

    @property
    def workflows(self) -> Sequence[Workflow[Trip, Leg] | Workflow[Content, Box]]:
        """Those whose functions note what they were called for."""
        return (self.trips, self.boxes)

    async def _work(self, risk: float = 0.15) -> None:
        await self.clock.wait(asyncio.Event(), self.rng.choice([0, 0, 0.5, 3, 8]))
        if self.rng.random() < risk:
            raise ValueError("broken")

    async def _book(self) -> str:
        await self._work()
        return f"{self.rng.random()}"

    def _again_or_done(self, run: TripRun) -> Onward:
        if not run.data.rounds:
            return Leg.DONE
        run.data.rounds -= 1
        return Leg.START

    def _declare_start(self) -> None:
        @self.trips.step(Leg.START, retry=RETRY)
        async def start(run: TripRun) -> Literal[Leg.WAIT, Leg.GATHER, Leg.EACH] | Repeat:
            run.data.noted.append(f"once:{run.visit}:{await run.once('book', self._book)}")
            await self._work(risk=0.4)
            for number, box in enumerate(run.data.boxes):
                foreign_id = box.shared or f"{run.run_id}-{run.version}-{number}"
                run.data.noted.append(f"start:{foreign_id}")
                run.start(
                    self.boxes,
                    foreign_id,
                    Content(fate=box.fate),
                    if_active="join" if box.joins else "refuse",
                    cascade=box.cascades,
                )
            if self.rng.random() < 0.1:
                return Repeat(timedelta(seconds=1))
            match run.data.to:
                case "WAIT":
                    return Leg.WAIT
                case "GATHER":
                    return Leg.GATHER
                case "EACH":
                    return Leg.EACH

    def _declare_wait(self) -> None:
        @self.trips.callback(Leg.START, Leg.WAIT, Leg.EACH, retry=FEW)
        async def go(
            run: TripRun, word: Word
        ) -> Literal[Leg.START, Leg.WAIT, Leg.GATHER, Leg.DONE] | Stay:
            run.data.noted.append(f"go:{word.label}")
            await self._work()
            if word.then == "fail":
                raise ValueError("a bad word")
            if word.then == "again":
                return self._again_or_done(run)
            return GOES.get(word.then, Stay())

        @self.trips.timeout(Leg.WAIT, after=NUDGE, retry=RETRY)
        async def nudge(run: TripRun) -> Stay:
            run.data.noted.append(f"nudge:{run.visit}")
            await self._work()
            return Stay()

        @self.trips.timeout(
            Leg.WAIT, at=lambda run: run.created_at + timedelta(seconds=CURFEW), retry=RETRY
        )
        async def curfew(run: TripRun) -> Stay:
            run.data.noted.append(f"curfew:{run.visit}")
            return Stay()

        @self.trips.timeout(Leg.WAIT, after=TIRE, retry=FEW, on_failure=Leg.FAILED)
        async def tire(run: TripRun) -> Onward:
            run.data.noted.append(f"tire:{run.visit}")
            await self._work()
            return self._again_or_done(run)

    def _declare_gather(self) -> None:
        @self.trips.callback(Leg.GATHER, early=EARLY, retry=FEW)
        async def hurry(run: TripRun, word: Word) -> Literal[Leg.DONE, Leg.WAIT] | Stay:
            run.data.noted.append(f"hurry:{word.label}")
            await self._work()
            match word.then:
                case "stay":
                    return Stay()
                case "fail":
                    raise ValueError("a bad word")
                case "done":
                    return Leg.DONE
                case _:
                    return Leg.WAIT

        @self.trips.children(Leg.GATHER, self.boxes, retry=RETRY)
        async def gathered(run: TripRun, boxes: Children[Content, Box]) -> Onward:
            counts = f"{boxes.started}:{boxes.completed}:{boxes.cancelled}"
            run.data.noted.append(f"gathered:{counts}")
            states = [box.run_state async for box in boxes]
            if not all(state.finished for state in states) or len(states) > boxes.started:
                self.faults.append(f"{run.run_id} gathered {counts} of {states}")
            await self._work()
            return self._again_or_done(run)

        @self.trips.timeout(Leg.GATHER, after=GIVE_UP, retry=RETRY)
        async def give_up(run: TripRun) -> Literal[Leg.DONE]:
            run.data.noted.append(f"give_up:{run.visit}")
            return Leg.DONE

    def _declare_each(self) -> None:
        @self.trips.child(Leg.EACH, self.boxes, retry=RETRY)
        async def one(run: TripRun, box: BoxRun) -> Literal[Leg.START, Leg.DONE] | Stay:
            run.data.noted.append(f"child:{box.run_id}:{box.run_state.name}")
            await self._work()
            ended = sum(note.startswith("child:") for note in run.data.noted)
            return self._again_or_done(run) if ended % 3 == 0 else Stay()

        @self.trips.timeout(Leg.EACH, after=LATE, retry=RETRY)
        async def late(run: TripRun) -> Literal[Leg.GATHER] | Stay:
            run.data.noted.append(f"late:{run.visit}")
            await self._work()
            return Leg.GATHER if run.data.rounds else Stay()

    def _declare_boxes(self) -> None:
        @self.boxes.step(Box.PACKED, retry=RETRY, flow=FlowControl(concurrency=SENDERS))
        async def send(run: BoxRun) -> Literal[Box.SENT, Box.HELD] | Cancel:
            await self._work()
            match run.data.fate:
                case "sent":
                    return Box.SENT
                case "cancelled":
                    return Cancel("lost")
                case _:
                    return Box.HELD

        @self.boxes.timeout(Box.HELD, after=OVERDUE, retry=RETRY)
        async def overdue(run: BoxRun) -> Literal[Box.SENT] | Stay:
            run.data.noted.append(f"overdue:{run.visit}")
            return Box.SENT if run.data.fate == "overdue" else Stay()

        @self.boxes.callback(Box.HELD, early=EARLY, retry=FEW)
        async def free(run: BoxRun, word: Word) -> Literal[Box.SENT] | Cancel | Stay:
            run.data.noted.append(f"free:{word.label}")
            await self._work()
            match word.then:
                case "done":
                    return Box.SENT
                case "stay":
                    return Stay()
                case _:
                    return Cancel("let go")

    def _declare_chimes(self) -> None:
        @self.chimes.step(Chime.NEW)
        async def ring(run: ChimeRun) -> Literal[Chime.DONE]:
            return Chime.DONE

        @self.chimes.schedule("strike", every=TICK, overlap="allow", catch_up=timedelta(days=7))
        async def strike(tick: datetime) -> Tick:
            return Tick(at=tick)

    def _declare_scrubber(self) -> None:
        @self.trips.scrub(retry=RETRY)
        async def scrub(run: TripRun) -> Trip:
            await self._work()
            return Trip(noted=["scrubbed"])
