"""A workflow for the command line's tests: some letters pause, some fail, some are cancelled."""

from typing import Literal

from pydantic import BaseModel

from workflow_ray import Cancel, Fatal, Pause, Run, Status, Workflow


class LetterStatus(Status):
    WRITTEN = 1
    SENT = 2


class Letter(BaseModel):
    to: str


letters = Workflow("letters", Letter, LetterStatus)


@letters.step(LetterStatus.WRITTEN)
async def send(run: Run[Letter, LetterStatus]) -> Literal[LetterStatus.SENT] | Cancel | Pause:
    match run.data.to:
        case "nobody":
            return Cancel("nobody lives there")
        case "somebody":
            return Pause("who is meant?")
        case "the moon":
            raise Fatal("no box there")
        case _:
            return LetterStatus.SENT
