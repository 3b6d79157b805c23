"""Batch steps, as a user writes them. Type checkers accept this file."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import (
    Breaker,
    Cancel,
    Fatal,
    RayOptions,
    Repeat,
    Retry,
    Run,
    Status,
    Workflow,
    resource,
)


class OrderStatus(Status):
    PAID = 1
    SCORED = 2
    EMBEDDED = 3
    SHIPPED = 4
    FAILED = 5


class Order(BaseModel):
    total: int
    risk: float = 0.0


OrderRun: TypeAlias = Run[Order, OrderStatus]
orders = Workflow("orders", Order, OrderStatus)


class RiskModel:
    def predict(self, totals: list[int]) -> list[float]:
        return [min(total / 10_000, 1.0) for total in totals]


@resource
async def risk_model() -> AsyncIterator[RiskModel]:
    yield RiskModel()


@orders.batch_step(
    OrderStatus.PAID,
    max_batch=64,
    max_wait=timedelta(milliseconds=20),
    max_batches=2,
    shards=2,
    retry=Retry(attempts=5),
    on_failure=OrderStatus.FAILED,
    timeout=30,
    ray=RayOptions(num_gpus=0.5, resources={"lens": 1}),
    breaker=Breaker(error_rate=0.3, window=60, open_for=timedelta(seconds=10), probes=2),
)
def score(
    runs: list[OrderRun], model: RiskModel = risk_model.value
) -> list[Literal[OrderStatus.SCORED] | Exception]:
    for run, risk in zip(runs, model.predict([run.data.total for run in runs]), strict=True):
        run.data.risk = risk
    return [OrderStatus.SCORED if run.data.total else Fatal("empty") for run in runs]


async def embedded(run: OrderRun) -> Literal[OrderStatus.EMBEDDED]:
    return OrderStatus.EMBEDDED


@orders.batch_step(OrderStatus.SCORED)
async def embed(runs: list[OrderRun]) -> list[Literal[OrderStatus.EMBEDDED] | BaseException]:
    return await asyncio.gather(*map(embedded, runs), return_exceptions=True)


@orders.batch_step(OrderStatus.EMBEDDED)
async def ship(
    runs: Sequence[OrderRun],
) -> Sequence[Literal[OrderStatus.SHIPPED] | Cancel | Repeat]:
    return [OrderStatus.SHIPPED for _ in runs]


async def keep_their_types() -> None:
    """A batch step keeps the type of its function: the parameters, and the precise results."""
    runs = [Run(Order(total=1), OrderStatus.PAID)]
    scored: list[Literal[OrderStatus.SCORED] | Exception] = score(runs, model=RiskModel())
    shipped: Sequence[Literal[OrderStatus.SHIPPED] | Cancel | Repeat] = await ship(runs)
    assert (scored, list(shipped)) == ([OrderStatus.SCORED], [OrderStatus.SHIPPED])
