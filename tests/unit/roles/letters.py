"""Letters: a workflow that keeps little of its finished runs, and not for long."""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Cancel, Retention, Retry, Run, Status, Stay, Workflow
from workflow_ray.ports import Clock
from workflow_ray.records import RunState

RETRY = Retry(attempts=50, backoff=timedelta(seconds=1), factor=1.0)
DAY = timedelta(days=1)
AGES = {
    RunState.COMPLETED: 3 * DAY,
    RunState.CANCELLED: 1.5 * DAY,
    RunState.DATA_DELETED: 2 * DAY,
}
"""For how long runs in these run states are kept."""
HISTORY = DAY
KEYS = 4 * DAY
OPEN_FOR = DAY / 2
SCRUBBED = b'{"ends":"sent","answers":["scrubbed"]}'


class Post(Status):
    WRITTEN = 1
    OPEN = 2
    SENT = 3


class Letter(BaseModel):
    """`answers` are the labels of the callbacks that were committed."""

    ends: Literal["sent", "lost", "open"] = "sent"
    answers: list[str] = []


class Answer(BaseModel):
    label: str
    then: Literal["stay", "send"]


LetterRun: TypeAlias = Run[Letter, Post]


@dataclass
class Letters:
    """The workflow. Its functions sometimes take some time, or fail."""

    clock: Clock
    rng: random.Random

    def __post_init__(self) -> None:
        kept = Retention(
            completed=AGES[RunState.COMPLETED],
            cancelled=AGES[RunState.CANCELLED],
            data_deleted=AGES[RunState.DATA_DELETED],
            history=HISTORY,
            keys=KEYS,
        )
        self.letters = Workflow("letters", Letter, Post, partitions=2, retention=kept)
        self._declare()

    async def _work(self) -> None:
        await self.clock.wait(asyncio.Event(), self.rng.choice([0, 0, 0.5, 3]))
        if self.rng.random() < 0.15:
            raise ValueError("broken")

    def _declare(self) -> None:
        @self.letters.step(Post.WRITTEN, retry=RETRY)
        async def write(run: LetterRun) -> Literal[Post.OPEN, Post.SENT] | Cancel:
            await self._work()
            match run.data.ends:
                case "sent":
                    return Post.SENT
                case "open":
                    return Post.OPEN
                case "lost":
                    return Cancel("lost")

        @self.letters.callback(Post.OPEN, early=60.0, retry=RETRY)
        async def answer(run: LetterRun, message: Answer) -> Literal[Post.SENT] | Stay:
            run.data.answers.append(message.label)
            await self._work()
            return Post.SENT if message.then == "send" else Stay()

        @self.letters.timeout(Post.OPEN, after=OPEN_FOR, retry=RETRY)
        async def close(run: LetterRun) -> Literal[Post.SENT]:
            return Post.SENT

        @self.letters.scrub(retry=RETRY)
        async def scrub(run: LetterRun) -> Letter:
            await self._work()
            return Letter(answers=["scrubbed"])
