"""A workflow whose step takes the time in its data, and prints that it has begun."""

import asyncio
from typing import Literal

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow


class ErrandStatus(Status):
    NEW = 1
    DONE = 2


class Errand(BaseModel):
    seconds: float


errands = Workflow("errands", Errand, ErrandStatus)


@errands.step(ErrandStatus.NEW)
async def go(run: Run[Errand, ErrandStatus]) -> Literal[ErrandStatus.DONE]:
    print("began", run.foreign_id, flush=True)
    await asyncio.sleep(run.data.seconds)
    return ErrandStatus.DONE
