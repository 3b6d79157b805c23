"""A workflow with middleware around its functions, and what the middleware notes."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel

from tests.unit.parcels import Parcel, ParcelRun, Stage
from workflow_ray import (
    FunctionCall,
    Middleware,
    Proceed,
    Run,
    RunState,
    Workflow,
)
from workflow_ray.testing import WorkflowTester

TENANT: ContextVar[str] = ContextVar("tenant", default="none")


class Order(BaseModel):
    total: int = 0


class Noting:
    """Middleware that notes each call, and what it returned or raised."""

    def __init__(self) -> None:
        self.calls = list[FunctionCall]()
        self.ends = list[object]()

    async def __call__(self, call: FunctionCall, proceed: Proceed) -> object:
        self.calls.append(call)
        try:
            value = await proceed()
        except Exception as error:
            self.ends.append(error)
            raise
        self.ends.append(value)
        return value

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(call.kind, call.function.rpartition(".")[2]) for call in self.calls]


def packing(
    *middleware: Middleware, step: Callable[..., Any] | None = None, **options: Any
) -> Workflow[Parcel, Stage]:
    """A workflow of one step."""
    workflow = Workflow("parcels", Parcel, Stage, middleware=middleware)

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    workflow.step(Stage.NEW, **options)(step or pack)
    return workflow


async def run_of(workflow: Workflow[Parcel, Stage], **options: Any) -> Run[Parcel, Stage]:
    async with WorkflowTester(workflow, **options) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=1))
        return await handle.wait()


async def run_of_paused(workflow: Workflow[Parcel, Stage]) -> Run[Parcel, Stage]:
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.advance(timedelta(hours=1))
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    return run
