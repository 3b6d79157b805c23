"""The workflow that the tests of the synchronous client are about."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Fatal, Run, Status, Workflow


class LetterStatus(Status):
    WRITTEN = 1
    STAMPED = 2
    SENT = 3


class Letter(BaseModel):
    to: str = "you"
    receipt: str = ""


LetterRun: TypeAlias = Run[Letter, LetterStatus]
letters = Workflow("letters", Letter, LetterStatus)


@letters.step(LetterStatus.WRITTEN)
async def stamp(run: LetterRun) -> Literal[LetterStatus.STAMPED]:
    if run.data.to == "nobody":
        raise Fatal("nobody lives there")
    return LetterStatus.STAMPED


@letters.callback(LetterStatus.STAMPED)
async def sent(run: LetterRun, receipt: str) -> Literal[LetterStatus.SENT]:
    run.data.receipt = receipt
    return LetterStatus.SENT


@letters.schedule("monthly", cron="0 0 1 * *")
def monthly(tick: datetime) -> Letter:
    return Letter(to="everybody")
