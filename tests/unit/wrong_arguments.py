"""The public calls, with right and wrong arguments of each."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf, nan
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Client,
    Handle,
    Pause,
    Repeat,
    Retry,
    Run,
    RunState,
    Runtime,
    Status,
    Trigger,
    Workflow,
    connect,
    resource,
)
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


class World(NamedTuple):
    """What calls are made on."""

    tester: WorkflowTester
    runtime: Runtime
    client: Client[Order, At]
    handle: Handle[Order, At]


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  it is a wrong argument
TEXT = [5, None, b"text"]
TEXT_OR_NONE = [5, b"text"]
FLAG = ["no", 1, None]
COUNT = [0, -1, 1.5, "1", True]
DURATION = ["5s", -1, nan, inf, timedelta.max, True, 10**400, 10**5000]
TIME = ["now", 5, NAIVE]
STATUS = [1, "NEW", Other.X]
WORKFLOW = ["orders", None, 5, [orders]]
URL = [5, b"memory://x", "", ["memory://x"], "shop.db", "/srv/shop.db"]
REASON: dict[str, list[Any]] = {"reason": [5, "", b"text"], "by": [5, None, "", "x" * 300, "a\0"]}
WAITING: dict[str, list[Any]] = {"timeout": DURATION, "through_errors": FLAG}


def local(workflows: Any = orders, **options: Any) -> Runtime:
    return Runtime.local(workflows, **options)


def ray(workflows: Any = orders, **options: Any) -> Runtime:
    return Runtime.ray(workflows, **options)


def of_tester(workflows: Any = orders, **options: Any) -> WorkflowTester:
    return WorkflowTester(workflows, **options)


Wrong = Mapping[str, list[Any]]
MADE: dict[str, tuple[Callable[..., Any], dict[str, Any], Wrong]] = {
    "Cancel": (Cancel, {}, {"reason": TEXT}),
    "Pause": (Pause, {}, {"reason": TEXT}),
    "Repeat": (Repeat, {}, {"after": [*DURATION, None]}),
    "Retry": (
        Retry,
        {},
        {
            "attempts": [*COUNT, None],
            "backoff": [*DURATION, None],
            "factor": [0.5, "2", nan, inf, None, True],
            "max_backoff": [*DURATION, None],
        },
    ),
    "Run": (
        Run,
        {"data": Order(), "status": At.NEW},
        {
            "data": [None, {}, "x", Order],
            "status": [None, 1, "NEW"],
            "run_id": TEXT_OR_NONE,
            "foreign_id": TEXT,
            "run_state": ["RUNNING", 2, None],
            "version": [*COUNT, None],
            "visit": [*COUNT, None],
            "attempt": [-1, 1.5, "1", None],
            "reason": TEXT_OR_NONE,
            "created_at": TIME,
            "updated_at": TIME,
        },
    ),
    "resource": (resource, {}, {"function": [None, 5, print, finish, int, Order]}),
    "Runtime.local": (
        local,
        {"records": "memory://arguments"},
        {
            "workflows": WORKFLOW,
            "records": URL,
            "events": URL,
            "timeouts": URL,
            "rollback": FLAG,
            "replace": FLAG,
        },
    ),
    "Runtime.ray": (
        ray,
        {"records": "postgresql://nowhere/x"},
        {
            "workflows": WORKFLOW,
            "records": URL,
            "events": URL,
            "timeouts": URL,
            "address": [*TEXT_OR_NONE, ""],
            "namespace": [*TEXT_OR_NONE, ""],
            "restart": FLAG,
            "rollback": FLAG,
            "replace": FLAG,
        },
    ),
    "WorkflowTester": (
        of_tester,
        {},
        {"workflows": WORKFLOW, "resources": [5, {"a": 1}, [1]], "start": [*TIME, None]},
    ),
}
"""Calls that return at once: what makes it, right arguments, and wrong ones."""
AWAITED: dict[str, tuple[Callable[[World], Callable[..., Any]], dict[str, Any], Wrong]] = {
    "Client.trigger": (
        lambda world: world.client.trigger,
        {"foreign_id": "1", "data": Order()},
        {
            "foreign_id": [*TEXT, "", "x" * 300, "a\0"],
            "data": [None, {}, Invoice(), Order, "x"],
            "start_at": STATUS,
            "idempotency_key": [*TEXT_OR_NONE, "", "x" * 300],
            "if_active": [None, "wait", [], 5],
        },
    ),
    "Client.trigger_many": (
        lambda world: world.client.trigger_many,
        {},
        {
            "triggers": [
                None,
                5,
                "text",
                Trigger("1", Order()),
                [5],
                ["text"],
                [Trigger(5, Order())],  # type: ignore[arg-type]  # it is wrong
                [Trigger("1", Order(), start_at=Other.X)],
            ]
        },
    ),
    "Client.handle": (lambda world: world.client.handle, {}, {"run_id": TEXT}),
    "Client.get": (lambda world: world.client.get, {}, {"run_id": TEXT}),
    "Client.latest": (lambda world: world.client.latest, {}, {"foreign_id": TEXT}),
    "Client.runs": (
        lambda world: world.client.runs,
        {},
        {
            "status": [*STATUS, [Other.X], [1], {"NEW"}],
            "run_state": [1, "PAUSED", ["PAUSED"], {RunState}],
            "foreign_id": TEXT_OR_NONE,
            "created_from": TIME,
            "created_before": TIME,
            "newest_first": FLAG,
            "page_size": [*COUNT, None],
        },
    ),
    "Client.counts": (lambda world: world.client.counts, {}, {}),
    "Handle.get": (lambda world: world.handle.get, {}, {}),
    "Handle.history": (lambda world: world.handle.history, {}, {}),
    "Handle.follow": (
        lambda world: world.handle.follow,
        {},
        {"after": [-1, 1.5, True, "1", None]},
    ),
    "Handle.wait": (lambda world: world.handle.wait, {}, WAITING),
    "Handle.wait_for": (
        lambda world: world.handle.wait_for,
        {"status": At.DONE},
        {"status": [*STATUS, None, [At.DONE]], **WAITING},
    ),
    "Handle.pause": (lambda world: world.handle.pause, {"reason": "a test"}, REASON),
    "Handle.resume": (lambda world: world.handle.resume, {}, REASON),
    "Handle.retry": (lambda world: world.handle.retry, {}, REASON),
    "Handle.cancel": (lambda world: world.handle.cancel, {"reason": "a test"}, REASON),
    "Runtime.client": (lambda world: world.runtime.client, {}, {"workflow": WORKFLOW}),
    "Runtime.scale": (
        lambda world: world.runtime.scale,
        {"workflow": orders, "status": At.NEW, "shards": 1},
        {"workflow": WORKFLOW, "status": [*STATUS, None], "shards": [*COUNT, 17]},
    ),
    "Runtime.undeploy": (
        lambda world: world.runtime.undeploy,
        {"workflow": "elsewhere"},
        {"workflow": [None, 5, ""], "force": FLAG},
    ),
    "Runtime.serve": (lambda world: world.runtime.serve, {}, {"deadline": [*DURATION, None]}),
    "connect": (
        lambda _: connect,
        {"workflow": orders, "records": "memory://arguments"},
        {"workflow": WORKFLOW, "records": URL, "patience": [*DURATION, None]},
    ),
    "WorkflowTester.client": (lambda world: world.tester.client, {}, {"workflow": WORKFLOW}),
    "WorkflowTester.advance": (
        lambda world: world.tester.advance,
        {},
        {"by": [*DURATION, None]},
    ),
}
"""Calls on a running workflow."""
ELSEWHERE = {
    "Workflow": "test_one_mistake.py: its mistakes are collected",
    "Workflow.step": "test_one_mistake.py: its mistakes are collected",
    "Workflow.encode": "test_data.py: it takes data alone",
    "Workflow.decode": "for what is stored: its errors are pydantic's",
    "Workflow.status_of": "for what is stored: its error is KeyError",
    "Workflow.checked": "it takes nothing",
    "Retry.delay": "for this package",
    "Run.stored": "for this package: it takes what is stored",
    "Run.unread": "for this package: it takes what is stored",
    "Trigger": "checked by trigger_many, which names its place in the list",
    "Stay": "it takes nothing",
    "Fatal": "an exception takes anything",
    "WorkflowError": "an exception takes anything",
    "Client": "made by `connect` and `Runtime.client`",
    "Handle": "made by a client",
    "Entry": "made by a handle",
    "Runtime": "made by `local` and `ray`",
    "WorkflowTester.settle": "it takes nothing",
    "WorkflowTester.due": "it takes nothing",
}
ENUMS = {"Cause", "RunState", "Status", "TriggerOutcome"}
