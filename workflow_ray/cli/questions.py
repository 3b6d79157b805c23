"""Questions to a record store, beside the processes that run on it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.urls import records_url

T = TypeVar("T")


def ask(url: str | None, question: Callable[[RecordStore], Awaitable[T]]) -> T:
    """Ask the store a question.

    Args:
        url: That of the records. None: the default one.
        question: Is called with the open store.
    """

    async def answer() -> T:
        async with open_beside(records_url(url), SystemClock()) as store:
            return await question(store)

    return asyncio.run(answer())
