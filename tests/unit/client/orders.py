"""A workflow whose runs wait for callbacks, and a test that answers them in place of its roles."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from workflow_ray import Client, Handle, Run, Status, Workflow
from workflow_ray.engine.next_version import Next
from workflow_ray.records import (
    Cause,
    Committed,
    Message,
    MessageFailure,
    MessageQuery,
    RunId,
    Stored,
    WriteGroup,
    new_write_id,
)
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


class At(Status):
    CREATED = 1
    AWAITING_PAYMENT = 2
    PAID = 3
    SHIPPED = 4
    EXPIRED = 5


class Order(BaseModel):
    total: int = 1
    receipt: str | None = None


class Payment(BaseModel):
    receipt: str


PAID = Payment(receipt="r1")


class Other(BaseModel):
    name: str = ""


OrderRun = Run[Order, At]


def shop() -> Workflow[Order, At]:
    """Make a workflow: a callback leads from AWAITING_PAYMENT to PAID, another to SHIPPED."""
    workflow = Workflow("shop", Order, At)

    @workflow.step(At.CREATED)
    async def reserve(run: OrderRun) -> Literal[At.AWAITING_PAYMENT]:
        return At.AWAITING_PAYMENT

    @workflow.callback(At.AWAITING_PAYMENT)
    async def paid(run: OrderRun, message: Payment) -> Literal[At.PAID]:
        run.data.receipt = message.receipt
        return At.PAID

    @workflow.callback(At.AWAITING_PAYMENT, early=timedelta(hours=1))
    async def prepaid(run: OrderRun, message: Payment) -> Literal[At.PAID]:
        return At.PAID

    @workflow.timeout(At.AWAITING_PAYMENT, after=timedelta(hours=48))
    async def expire(run: OrderRun) -> Literal[At.EXPIRED]:
        return At.EXPIRED

    @workflow.callback(At.PAID)
    async def shipped(run: OrderRun, message: str) -> Literal[At.SHIPPED]:
        return At.SHIPPED

    return workflow


class Shop:
    """A store with runs of the workflow. The test does what its roles would do."""

    def __init__(self) -> None:
        self.workflow = shop()
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.client = Client(self.workflow, self.store, self.clock)

    async def at(self, status: At, foreign_id: str = "1", **order: Any) -> Handle[Order, At]:
        """Start a run that stands at the status."""
        handle = await self.client.trigger(foreign_id, Order(**order))
        if status is not At.CREATED:
            await self.move(handle.run_id, status)
        return handle

    async def move(
        self, run_id: str, to: At, *, takes: Message | None = None, data: Order | None = None
    ) -> int:
        """Write a transition of the run, and return its version."""
        (record,) = await self.store.lookup([RunId(run_id)])
        assert record is not None
        write = Next(record, "role", new_write_id()).enter(
            to,
            self.workflow,
            Cause.STEP,
            data=None if data is None else self.workflow.encode(data),
        )
        if takes is not None:
            write = msgspec.structs.replace(write, takes=(takes.key,))
        (answer,) = await self.store.store([WriteGroup(writes=(write,))])
        assert isinstance(answer, Committed)
        assert isinstance(answer.results[0], Stored)
        return write.version

    async def fail(self, message: Message, reason: str) -> None:
        """Let the function of a message fail for good."""
        failure = MessageFailure(key=message.key, run_id=message.run_id, attempt=1, reason=reason)
        await self.store.store([WriteGroup(failures=(failure,))])

    async def inbox(self, run_id: str) -> list[Message]:
        """Return the messages that wait, after everything that runs without time passing."""
        await self.clock.settle()
        return await self.store.messages(MessageQuery(run_ids=(RunId(run_id),)))


def begin(call: Any) -> "asyncio.Task[Any]":
    return asyncio.create_task(call)


async def finished(shop: Shop, task: "asyncio.Task[Any]") -> Any:
    """Return the task's result. It must not need time to pass."""
    await shop.clock.settle()
    assert task.done(), "it still waits"
    return await task
