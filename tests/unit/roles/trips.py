"""Workflows that wait for everything that a run can wait for, and note in a run's data what they
were called for.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from tests.unit.roles.trip_boxes import EARLY, FEW, OVERDUE, PARTITIONS, RETRY, Boxes, BoxRun
from tests.unit.roles.trip_data import (
    MIGRATIONS,
    TRIPS,
    Box,
    Chime,
    Content,
    Leg,
    Plan,
    Tick,
    Trip,
    Word,
    scrubbed,
)
from workflow_ray import Children, Repeat, Retention, Run, Stay, Workflow
from workflow_ray.errors import DataDeleted
from workflow_ray.records import RunState

NUDGE, CURFEW, TIRE = 5.0, 12.0, 20.0
LATE, GIVE_UP = 30.0, 60.0
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
KEPT = 1000.0
"""Seconds for which completed chimes are kept."""


TripRun: TypeAlias = Run[Trip, Leg]
ChimeRun: TypeAlias = Run[Tick, Chime]
Onward: TypeAlias = Literal[Leg.START, Leg.DONE]


GOES: dict[str, Literal[Leg.WAIT, Leg.GATHER, Leg.DONE]] = {
    "wait": Leg.WAIT,
    "gather": Leg.GATHER,
    "done": Leg.DONE,
}


class Trips(Boxes):
    """The workflows, as one version of the code has them. Their functions sometimes take some time,
    or fail.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.trip = TRIPS[self.version - 1]
        self.trips = Workflow(
            "trips", self.trip, Leg, partitions=PARTITIONS, data_version=self.version
        )
        self.chimes = Workflow(
            "chimes", Tick, Chime, partitions=PARTITIONS, retention=Retention(completed=KEPT)
        )
        self._declare_start()
        self._declare_wait()
        self._declare_gather()
        self._declare_each()
        self._declare_chimes()
        self._declare_scrubber()
        self._declare_migrations()

    @property
    def workflows(self) -> Sequence[Workflow[Trip, Leg] | Workflow[Content, Box]]:
        """Those whose functions note what they were called for."""
        return (self.trips, self.boxes)

    @property
    def all(self) -> Sequence[Workflow[Any, Any]]:
        return (*self.workflows, self.chimes)

    def planned(self, plan: Plan) -> Trip:
        """Return the data of a new trip."""
        return self.trip(**plan.model_dump())

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
            self._note(run, f"once:{run.visit}:{await run.once('book', self._book)}")
            await self._work(risk=0.4)
            for number, box in enumerate(run.data.boxes):
                foreign_id = box.shared or f"{run.run_id}-{run.version}-{number}"
                self._note(run, f"start:{foreign_id}")
                run.start(
                    self.boxes,
                    foreign_id,
                    self.content(fate=box.fate),
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
            self._note(run, f"go:{word.label}")
            await self._work()
            if word.then == "fail":
                raise ValueError("a bad word")
            if word.then == "again":
                return self._again_or_done(run)
            return GOES.get(word.then, Stay())

        @self.trips.timeout(Leg.WAIT, after=NUDGE, retry=RETRY)
        async def nudge(run: TripRun) -> Stay:
            self._note(run, f"nudge:{run.visit}")
            await self._work()
            return Stay()

        @self.trips.timeout(
            Leg.WAIT, at=lambda run: run.created_at + timedelta(seconds=CURFEW), retry=RETRY
        )
        async def curfew(run: TripRun) -> Stay:
            self._note(run, f"curfew:{run.visit}")
            return Stay()

        @self.trips.timeout(Leg.WAIT, after=TIRE, retry=FEW, on_failure=Leg.FAILED)
        async def tire(run: TripRun) -> Onward:
            self._note(run, f"tire:{run.visit}")
            await self._work()
            return self._again_or_done(run)

    def _declare_gather(self) -> None:
        @self.trips.callback(Leg.GATHER, early=EARLY, retry=FEW)
        async def hurry(run: TripRun, word: Word) -> Literal[Leg.DONE, Leg.WAIT] | Stay:
            self._note(run, f"hurry:{word.label}")
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
            self._note(run, f"gathered:{counts}")
            states: list[RunState] = []
            async for box in boxes:
                states.append(box.run_state)
                with suppress(DataDeleted):
                    self._weigh(box)
            if not all(state.finished for state in states) or len(states) > boxes.started:
                self.faults.append(f"{run.run_id} gathered {counts} of {states}")
            await self._work()
            return self._again_or_done(run)

        @self.trips.timeout(Leg.GATHER, after=GIVE_UP, retry=RETRY)
        async def give_up(run: TripRun) -> Literal[Leg.DONE]:
            self._note(run, f"give_up:{run.visit}")
            return Leg.DONE

    def _declare_each(self) -> None:
        @self.trips.child(Leg.EACH, self.boxes, retry=RETRY)
        async def one(run: TripRun, box: BoxRun) -> Literal[Leg.START, Leg.DONE] | Stay:
            self._note(run, f"child:{box.run_id}:{box.run_state.name}")
            with suppress(DataDeleted):
                self._weigh(box)
            await self._work()
            ended = sum(note.startswith("child:") for note in run.data.noted)
            return self._again_or_done(run) if ended % 3 == 0 else Stay()

        @self.trips.timeout(Leg.EACH, after=LATE, retry=RETRY)
        async def late(run: TripRun) -> Literal[Leg.GATHER] | Stay:
            self._note(run, f"late:{run.visit}")
            await self._work()
            return Leg.GATHER if run.data.rounds else Stay()

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
            self._weigh(run)
            await self._work()
            return scrubbed(self.trip)

    def _declare_migrations(self) -> None:
        for workflow in self.workflows:
            for version in range(1, self.version):
                workflow.migrate(version)(MIGRATIONS[version])
