"""Mistakes in batch steps that a type checker must reject, each line marked."""

from typing import Literal

from tests.typing.batches import Order, OrderRun, OrderStatus, RiskModel, orders, risk_model, score
from tests.typing.shop import InvoiceRun, InvoiceStatus
from workflow_ray import Breaker, Pause, RayOptions, Run

RayOptions(num_gpus="1")  # mistake
RayOptions(gpus=1)  # mistake
RayOptions(resources=["lens"])  # mistake
Breaker(error_rate="half")  # mistake
Breaker(rate=0.5)  # mistake


@orders.batch_step(OrderStatus.FAILED, breaker=0.5)  # mistake
def broken(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step  # mistake: without the status
def bare(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step(OrderStatus.FAILED)  # mistake: one run
def one_run(run: OrderRun) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED]


@orders.batch_step(OrderStatus.FAILED)  # mistake: one result
def one_result(runs: list[OrderRun]) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


@orders.batch_step(OrderStatus.FAILED)  # mistake: another workflow's run
def foreign_run(runs: list[InvoiceRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step(OrderStatus.FAILED)  # mistake: another workflow's status
def foreign(runs: list[OrderRun]) -> list[Literal[InvoiceStatus.SENT]]:
    return [InvoiceStatus.SENT for _ in runs]


@orders.batch_step(OrderStatus.FAILED)  # mistake: None is not a result
async def optional(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED] | None]:
    return [None for _ in runs]


@orders.batch_step(OrderStatus.FAILED)
def undeclared(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED] | Exception]:
    return [OrderStatus.SCORED for _ in runs]  # mistake


@orders.batch_step(OrderStatus.FAILED)
def undeclared_halt(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [Pause("x")]  # mistake


@orders.batch_step(InvoiceStatus.DRAFT)  # mistake
def wrong_from(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step(OrderStatus.FAILED, max_batch="64")  # mistake
def wrong_batch(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step(OrderStatus.FAILED, max_wait="20ms")  # mistake
def wrong_wait(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.batch_step(OrderStatus.FAILED, max_in_flight=64)  # mistake: it is one of `step`
def wrong_option(runs: list[OrderRun]) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


@orders.step(OrderStatus.FAILED, ray={"num_gpus": 1})  # mistake
def wrong_ray(run: OrderRun) -> Literal[OrderStatus.SHIPPED]:
    return OrderStatus.SHIPPED


@orders.batch_step(OrderStatus.FAILED)
def wrong_resource(
    runs: list[OrderRun],
    model: str = risk_model.value,  # mistake
) -> list[Literal[OrderStatus.SHIPPED]]:
    return [OrderStatus.SHIPPED for _ in runs]


def use() -> None:
    run = Run(Order(total=1), OrderStatus.PAID)
    score(run, RiskModel())  # mistake
    score([run], "model")  # mistake
