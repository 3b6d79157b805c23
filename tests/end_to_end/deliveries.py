"""A workflow of several tenants with flow control, and a worker that runs it."""

import asyncio
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import FlowControl, Rate, Repeat, Retry, Run, Status, Workflow

SLOTS, SLOTS_OF_TENANT = 6, 3
RATE = Rate(12, per=2)
MOMENT = 0.01


class At(Status):
    QUEUED = 1
    LOADED = 2
    SENT = 3


class Delivery(BaseModel):
    tenant: str = ""
    number: int = 0
    loaded: bool = False


DeliveryRun: TypeAlias = Run[Delivery, At]
deliveries = Workflow("deliveries", Delivery, At)


@deliveries.step(
    At.QUEUED,
    shards=2,
    retry=Retry(attempts=20, backoff=MOMENT, factor=1),
    flow=FlowControl(
        concurrency=SLOTS,
        concurrency_per_key=SLOTS_OF_TENANT,
        key=lambda run: run.data.tenant,
        priority=lambda run: -run.data.number,
    ),
)
async def load(run: DeliveryRun) -> Literal[At.LOADED] | Repeat:
    """Load it, in a while. Some fail at first, and some begin twice."""
    await asyncio.sleep(MOMENT)
    if run.data.number % 7 == 3 and run.attempt == 0:
        raise OSError("it does not fit")
    if run.data.number % 5 == 2 and not run.data.loaded:
        run.data.loaded = True
        return Repeat(after=MOMENT)
    return At.LOADED


@deliveries.step(At.LOADED, flow=FlowControl(rate=RATE))
async def send(run: DeliveryRun) -> Literal[At.SENT]:
    return At.SENT


async def main(journal: str, lease: str, *urls: str) -> None:
    Path(journal).touch()
    await serve([deliveries], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
