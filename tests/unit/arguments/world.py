"""The workflow whose calls are tried with wrong arguments, and what the calls are made on."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from workflow_ray import Client, Handle, Run, Runtime, Status, Workflow, source
from workflow_ray.testing import WorkflowTester


class At(Status):
    NEW = 1
    DONE = 2


class Other(Status):
    X = 1


class Order(BaseModel):
    total: int = 0


class Invoice(BaseModel):
    total: int = 0


orders = Workflow("orders", Order, At)


@orders.step(At.NEW)
async def finish(run: Run[Order, At]) -> Literal[At.DONE]:
    return At.DONE


@orders.callback(At.NEW)
async def noted(run: Run[Order, At], message: str) -> Literal[At.DONE]:
    return At.DONE


def made_source(function: Any = None, **options: Any) -> Any:
    """Call `source` as a decorator, with or without arguments."""
    make: Callable[..., Any] = source
    return make(function) if function is not None else make(**options)


class World(NamedTuple):
    """What calls are made on."""

    tester: WorkflowTester
    runtime: Runtime
    client: Client[Order, At]
    handle: Handle[Order, At]


Wrong = Mapping[str, list[Any]]
"""The wrong values of each argument."""
