"""A workflow whose step the test holds up."""

import asyncio
from typing import Literal

from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels


class Gated:
    """A workflow whose step waits for a gate."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.workflow: Parcels = parcels()

        @self.workflow.step(Stage.NEW)
        async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
            self.begun.set()
            await self.gate.wait()
            return Stage.DONE
