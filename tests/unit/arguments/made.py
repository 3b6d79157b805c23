"""The public calls that return at once, with right and wrong arguments of each."""

from collections.abc import Callable
from datetime import timedelta
from math import inf, nan
from typing import Any

from tests.unit.arguments.values import (
    AMOUNT,
    COUNT,
    DURATION,
    FLAG,
    LABELS,
    STATUS,
    TEXT,
    TEXT_OR_NONE,
    TIME,
    URL,
    WORKFLOW,
)
from tests.unit.arguments.world import (
    At,
    Invoice,
    Order,
    Other,
    Wrong,
    finish,
    made_source,
    noted,
    orders,
)
from workflow_ray import (
    Breaker,
    Cancel,
    Children,
    ClaimChecks,
    Compression,
    Encryption,
    FlowControl,
    Pause,
    Rate,
    RayOptions,
    Repeat,
    Retention,
    Retry,
    Run,
    RunState,
    Runtime,
    TransitionSource,
    keys_from_env,
    keys_from_file,
    new_key,
    resource,
)
from workflow_ray.testing import WorkflowTester


async def once(name: Any = "charge", function: Any = str, *args: Any, **kwargs: Any) -> object:
    return await Run(Order(), At.NEW).once(name, function, *args, **kwargs)


def start(**arguments: Any) -> None:
    Run(Order(), At.NEW).start(**arguments)


def local(workflows: Any = orders, **options: Any) -> Runtime:
    return Runtime.local(workflows, **options)


def ray(workflows: Any = orders, **options: Any) -> Runtime:
    return Runtime.ray(workflows, **options)


def crash_at(tester: WorkflowTester) -> Callable[..., Any]:
    async def called(**arguments: Any) -> None:
        tester.crash_at(**arguments)

    return called


def of_tester(workflows: Any = orders, **options: Any) -> WorkflowTester:
    return WorkflowTester(workflows, **options)


MADE: dict[str, tuple[Callable[..., Any], dict[str, Any], Wrong]] = {
    "Cancel": (Cancel, {}, {"reason": TEXT}),
    "Pause": (Pause, {}, {"reason": TEXT}),
    "Repeat": (Repeat, {}, {"after": [*DURATION, None]}),
    "RayOptions": (
        RayOptions,
        {},
        {
            "num_cpus": AMOUNT,
            "num_gpus": [*AMOUNT, 1.5],
            "memory": [-1, 1.5, "1 GB", None, True],
            "resources": [None, "lens", {"": 1}, {"lens": "1"}, {"GPU": 1}],
            "accelerator_type": ["", 5],
        },
    ),
    "Rate": (
        Rate,
        {"count": 1, "per": 1},
        {"count": [*COUNT, None], "per": [*DURATION, None, 0]},
    ),
    "FlowControl": (
        FlowControl,
        {},
        {
            "concurrency": COUNT,
            "concurrency_per_key": [*COUNT, 1],
            "rate": [1, "1/s", (1, 2)],
            "rate_per_key": [1, "1/s", (1, 2), Rate(1, per=1)],
            "key": [5, "tenant", noted],
            "priority": [5, "urgency", noted],
        },
    ),
    "Breaker": (
        Breaker,
        {},
        {
            "error_rate": [-1, 0, "1", None, True, nan, inf],
            "window": [*DURATION, None, 0],
            "least": [*COUNT, None],
            "open_for": [*DURATION, None, 0],
            "max_open_for": [*DURATION, None],
            "probes": [*COUNT, None],
        },
    ),
    "Retry": (
        Retry,
        {},
        {
            "attempts": [*COUNT, None],
            "backoff": [*DURATION, None],
            "factor": [0.5, "2", nan, inf, None, True],
            "max_backoff": [*DURATION, None],
            "fatal": [None, ValueError, [ValueError], ("ValueError",), (BaseException,), (int,)],
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
            "attempt": [-1, 1.5, "1", None, False],
            "reason": TEXT_OR_NONE,
            "created_at": TIME,
            "updated_at": TIME,
            "labels": LABELS,
        },
    ),
    "Retention": (
        Retention,
        {},
        {
            "completed": DURATION,
            "cancelled": DURATION,
            "data_deleted": DURATION,
            "history": [*DURATION, 60, timedelta(hours=23)],
            "keys": DURATION,
        },
    ),
    "Run.start": (
        start,
        {"workflow": orders, "foreign_id": "1", "data": Order()},
        {
            "workflow": [*WORKFLOW, Order],
            "foreign_id": [*TEXT, "", "x" * 300, "a\0"],
            "data": [None, {}, Invoice(), Order, "x"],
            "start_at": STATUS,
            "if_active": [None, "raise", [], 5],
            "cascade": FLAG,
            "labels": LABELS,
        },
    ),
    "ClaimChecks": (
        ClaimChecks,
        {"place": "file:///claims"},
        {"place": [5, None, "claims", b"file:///claims"], "above": [-1, 1.5, "1", True]},
    ),
    "Compression": (
        Compression,
        {},
        {"above": [-1, 1.5, "1", None, True], "level": [0, 10, 1.5, "1", None, True]},
    ),
    "Encryption": (
        Encryption,
        {"keys": [new_key("one")]},
        {
            "keys": [5, None, [], [5], ["one"], "one:AAAA", b"text"],
            "run_keys": [5, "keys", b"sqlite:///keys.db", object()],
        },
    ),
    "keys_from_env": (keys_from_env, {}, {"variable": [*TEXT, ""]}),
    "keys_from_file": (keys_from_file, {}, {"path": [*TEXT, ""]}),
    "new_key": (new_key, {}, {"name": [*TEXT, "", "a:b", "a b", "x" * 50]}),
    "Children": (Children, {}, {"runs": [5, [5], [Order()], "text", None]}),
    "resource": (resource, {}, {"function": [None, 5, print, finish, int, Order]}),
    "source": (
        made_source,
        {},
        {"function": [5, print, finish, int], "partitions": COUNT, "name": TEXT_OR_NONE},
    ),
    "TransitionSource": (
        TransitionSource,
        {"workflow": orders, "reader": "r"},
        {
            "workflow": [None, 5, b"text", ""],
            "reader": [*TEXT, ""],
            "records": URL,
            "events": [each for each in URL if each != "/srv/shop.db"],
        },
    ),
    "Workflow.graph": (
        orders.graph,
        {},
        {
            "counts": [
                5,
                "text",
                [1],
                {At.NEW: 1},
                {(At.NEW, 2): 1},
                {(Other.X, RunState.PAUSED): 1},
                {(At.NEW, RunState.PAUSED): -1},
            ],
            "failed": [5, "text", [1], {Other.X: 1}, {"NEW": 1}, {At.NEW: "1"}],
        },
    ),
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
            "strand": FLAG,
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
            "strand": FLAG,
        },
    ),
    "WorkflowTester": (
        of_tester,
        {},
        {"workflows": WORKFLOW, "resources": [5, {"a": 1}, [1]], "start": [*TIME, None]},
    ),
}
"""Calls that return at once: what makes it, right arguments, and wrong ones."""
