"""A workflow with a codec, which the command line imports."""

from typing import Literal

from pydantic import BaseModel

from workflow_ray import Compression, Run, Status, Workflow


class At(Status):
    NEW = 1
    DONE = 2


class Cart(BaseModel):
    total: int = 0


sealed = Workflow("sealed", Cart, At, codec=Compression(above=0))


@sealed.step(At.NEW)
async def pack(run: Run[Cart, At]) -> Literal[At.DONE]:
    return At.DONE
