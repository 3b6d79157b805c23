"""Boxes, which trips start as children: few are sent at a time, and few in a period."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from tests.unit.roles.trip_data import CONTENTS, GRAMS, Box, Content, Noted, Word
from workflow_ray import Cancel, FlowControl, Rate, Retry, Run, Stay, Workflow
from workflow_ray.ports import Clock

PARTITIONS = 2
RETRY = Retry(attempts=50, backoff=timedelta(seconds=1), factor=1.0)
FEW = Retry(attempts=2, backoff=timedelta(seconds=1))
EARLY = 20.0
OVERDUE = 40.0
SENDERS = 2
"""Boxes that are sent at a time."""
SENT, SENT_WITH_FATE = Rate(4, per=8), Rate(3, per=8)
"""Boxes whose sending begins in a period, of all and of each fate."""

BoxRun: TypeAlias = Run[Content, Box]


@dataclass
class Boxes:
    """The workflow of boxes, as one version of the code has it. Its functions sometimes take some
    time, or fail.
    """

    clock: Clock
    rng: random.Random
    version: int = 1
    """The version of the data."""
    faults: list[str] = field(default_factory=list[str])
    """What a function found wrong."""

    def __post_init__(self) -> None:
        self.content = CONTENTS[self.version - 1]
        self.boxes = Workflow(
            "boxes", self.content, Box, partitions=PARTITIONS, data_version=self.version
        )
        self._declare_boxes()

    async def _work(self, risk: float = 0.15) -> None:
        await self.clock.wait(asyncio.Event(), self.rng.choice([0, 0, 0.5, 3, 8]))
        if self.rng.random() < risk:
            raise ValueError("broken")

    def _note(self, run: Run[Any, Any], text: str) -> None:
        self._weigh(run)
        run.data.note(text)

    def _weigh(self, run: Run[Any, Any]) -> None:
        """Check that the migrations have made what a function sees of what was stored."""
        data: Noted = run.data
        if data.weight != GRAMS * len(data.noted):
            self.faults.append(f"version {self.version} of the code sees {data} of {run.run_id}")

    def _declare_boxes(self) -> None:
        flow: FlowControl[Content, Box] = FlowControl(
            concurrency=SENDERS,
            rate=SENT,
            rate_per_key=SENT_WITH_FATE,
            key=lambda run: run.data.fate,
        )

        @self.boxes.step(Box.PACKED, retry=RETRY, flow=flow)
        async def send(run: BoxRun) -> Literal[Box.SENT, Box.HELD] | Cancel:
            self._weigh(run)
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
            self._note(run, f"overdue:{run.visit}")
            return Box.SENT if run.data.fate == "overdue" else Stay()

        @self.boxes.callback(Box.HELD, early=EARLY, retry=FEW)
        async def free(run: BoxRun, word: Word) -> Literal[Box.SENT] | Cancel | Stay:
            self._note(run, f"free:{word.label}")
            await self._work()
            match word.then:
                case "done":
                    return Box.SENT
                case "stay":
                    return Stay()
                case _:
                    return Cancel("let go")
