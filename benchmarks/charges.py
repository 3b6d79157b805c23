"""A workflow of one step that calls `run.once` as often as its data says."""

from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow


class ChargeStatus(Status):
    OPEN = 1
    CHARGED = 2


class Charge(BaseModel):
    calls: int


ChargeRun: TypeAlias = Run[Charge, ChargeStatus]
charges = Workflow("charges", Charge, ChargeStatus)


async def charge(number: int) -> str:
    return f"charge-{number}"


@charges.step(ChargeStatus.OPEN)
async def pay(run: ChargeRun) -> Literal[ChargeStatus.CHARGED]:
    for number in range(run.data.calls):
        await run.once(f"charge-{number}", charge, number)
    return ChargeStatus.CHARGED
