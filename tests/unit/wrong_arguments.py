"""The public calls, with right and wrong arguments of each."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import inf, nan
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from workflow_ray import (
    Breaker,
    Cancel,
    Children,
    ClaimChecks,
    Client,
    Compression,
    Encryption,
    FlowControl,
    Handle,
    Pause,
    Rate,
    RayOptions,
    Repeat,
    Retention,
    Retry,
    Run,
    RunState,
    Runtime,
    Status,
    TransitionSource,
    Trigger,
    Workflow,
    connect,
    keys_from_env,
    keys_from_file,
    new_key,
    resource,
    source,
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


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  it is a wrong argument
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = [5, None, b"text"]
TEXT_OR_NONE = [5, b"text"]
FLAG = ["no", 1, None]
AMOUNT = [-1, "1", None, True, nan, inf, 0.00001]
COUNT = [0, -1, 1.5, "1", True]
LABELS: list[Any] = [
    5,
    "tenant=acme",
    {"": "x"},
    {"tenant": 5},
    {5: "x"},
    {"a": "\0"},
    {"a": "x" * 300},
]
DURATION = ["5s", -1, nan, inf, timedelta.max, True, 10**400, 10**5000]
TIME = ["now", 5, NAIVE]
STATUS = [1, "NEW", Other.X]
WORKFLOW = ["orders", None, 5, [orders]]
URL = [5, b"memory://x", "", ["memory://x"], "shop.db", "/srv/shop.db"]
WITHIN = [5, "session", object(), b"text"]
REASON: dict[str, list[Any]] = {"reason": [5, "", b"text"], "by": [5, None, "", "x" * 300, "a\0"]}
WAITING: dict[str, list[Any]] = {"timeout": DURATION, "through_errors": FLAG}
CALLING: dict[str, list[Any]] = {
    "function": ["nothing", None, 5, finish],
    "message": [5, None, b"no json", Order()],
    "timeout": DURATION,
    "idempotency_key": [5, b"text", "", "x" * 300],
}


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


Wrong = Mapping[str, list[Any]]
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
AWAITED: dict[str, tuple[Callable[[World], Callable[..., Any]], dict[str, Any], Wrong]] = {
    "Run.once": (
        lambda _: once,
        {},
        {"name": [*TEXT, "", "x" * 300, "a\0"], "function": [None, 5, "charge", [str]]},
    ),
    "Client.trigger": (
        lambda world: world.client.trigger,
        {"foreign_id": "1", "data": Order()},
        {
            "foreign_id": [*TEXT, "", "x" * 300, "a\0"],
            "data": [None, {}, Invoice(), Order, "x"],
            "start_at": STATUS,
            "idempotency_key": [*TEXT_OR_NONE, "", "x" * 300],
            "if_active": [None, "wait", [], 5],
            "delay": [*DURATION, None],
            "labels": LABELS,
            "within": WITHIN,
        },
    ),
    "Client.trigger_many": (
        lambda world: world.client.trigger_many,
        {"triggers": [Trigger("1", Order())]},
        {
            "within": WITHIN,
            "triggers": [
                None,
                5,
                "text",
                Trigger("1", Order()),
                [5],
                ["text"],
                [Trigger(5, Order())],  # type: ignore[arg-type]  # it is wrong
                [Trigger("1", Order(), start_at=Other.X)],
                [Trigger("1", Order(), delay="soon")],  # type: ignore[arg-type]  # it is wrong
                [Trigger("1", Order(), labels={"": "x"})],
            ],
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
            "updated_before": TIME,
            "failed": FLAG,
            "parent": [5, b"text"],
            "child": [5, b"text"],
            "labels": LABELS,
            "newest_first": FLAG,
            "page_size": [*COUNT, None],
        },
    ),
    "Client.bulk": (
        lambda world: world.client.bulk,
        {"action": "pause", "reason": "a test"},
        {
            "action": ["fold", None, 5, ["pause"]],
            **REASON,
            "to": [*STATUS, At.DONE],  # only a move has it
            "status": [*STATUS, [Other.X], [1], {"NEW"}],
            "run_state": [1, "PAUSED", ["PAUSED"], {RunState}],
            "failed": FLAG,
            "foreign_id": TEXT_OR_NONE,
            "created_from": TIME,
            "created_before": TIME,
            "updated_before": TIME,
            "parent": [5, b"text"],
            "child": [5, b"text"],
            "labels": LABELS,
            "dry_run": FLAG,
        },
    ),
    "Client.delete_data": (
        lambda world: world.client.delete_data,
        {"run_id": "nothing"},
        {"run_id": TEXT, "by": REASON["by"]},
    ),
    "Handle.delete_data": (
        lambda world: world.handle.delete_data,
        {},
        {"by": REASON["by"]},
    ),
    "Client.bulk_job": (
        lambda world: world.client.bulk_job,
        {},
        {"job_id": [*TEXT, "", "x" * 300, "a\0"]},
    ),
    "BulkJob.wait": (
        lambda world: world.client.bulk_job("nothing").wait,
        {},
        {"timeout": DURATION},
    ),
    "Client.limits": (lambda world: world.client.limits, {}, {}),
    "Client.set_limits": (
        lambda world: world.client.set_limits,
        {"status": At.NEW, "concurrency": 1},
        {
            "status": [*STATUS, None],
            "concurrency": COUNT,
            "concurrency_per_key": COUNT,
            "rate": [1, "1/s", (1, 2)],
            "rate_per_key": [1, "1/s", (1, 2)],
        },
    ),
    "Client.reset_limits": (
        lambda world: world.client.reset_limits,
        {},
        {"status": [*STATUS, None]},
    ),
    "Client.callback": (
        lambda world: world.client.callback,
        {"function": noted, "foreign_id": "1", "message": "x"},
        {"foreign_id": [*TEXT, "", "x" * 300, "a\0"], **CALLING},
    ),
    "Client.counts": (lambda world: world.client.counts, {}, {}),
    "Handle.get": (lambda world: world.handle.get, {}, {}),
    "Handle.history": (lambda world: world.handle.history, {}, {}),
    "Handle.follow": (
        lambda world: world.handle.follow,
        {},
        {"after": [-1, 1.5, True, False, "1", None]},
    ),
    "Handle.callback": (
        lambda world: world.handle.callback,
        {"function": noted, "message": "x"},
        CALLING,
    ),
    "Handle.children": (
        lambda world: world.handle.children,
        {},
        {"workflow": ["orders", 5, [orders]]},
    ),
    "Handle.parents": (
        lambda world: world.handle.parents,
        {},
        {"workflow": WORKFLOW},
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
    "Handle.cancel": (
        lambda world: world.handle.cancel,
        {"reason": "a test"},
        {**REASON, "cascade": ["no", 1]},
    ),
    "Handle.move": (
        lambda world: world.handle.move,
        {"status": At.NEW, "reason": "a test"},
        {**REASON, "status": [*STATUS, None]},
    ),
    "Handle.fork": (
        lambda world: world.handle.fork,
        {"version": 1, "foreign_id": "fork"},
        {
            **REASON,
            "version": [*COUNT, None, 1000],
            "foreign_id": [*TEXT_OR_NONE, "", "x" * 300, "a\0"],
            "idempotency_key": [*TEXT_OR_NONE, "", "x" * 300],
        },
    ),
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
    **{
        f"Client.{name}": (attrgetter(f"client.{name}"), {}, {"name": TEXT})
        for name in ("pause_schedule", "resume_schedule", "trigger_schedule")
    },
    "Client.dead_letters": (
        lambda world: world.client.dead_letters,
        {},
        {"connector": [*TEXT_OR_NONE, "", "nothing"]},
    ),
    "DeadLetters.show": (
        lambda world: world.client.dead_letters().show,
        {},
        {"letter_id": TEXT},
    ),
    "DeadLetters.replay": (lambda world: world.client.dead_letters().replay, {}, {}),
    "DeadLetters.drop": (lambda world: world.client.dead_letters().drop, {}, {}),
    "Client.backfill": (
        lambda world: world.client.backfill,
        {"name": "nightly", "start": MIDNIGHT, "end": MIDNIGHT},
        {"name": TEXT, "start": [*TIME, None], "end": [*TIME, None]},
    ),
    "connect": (
        lambda _: connect,
        {"workflow": orders, "records": "memory://arguments"},
        {"workflow": WORKFLOW, "records": URL, "patience": [*DURATION, None]},
    ),
    "WorkflowTester.client": (lambda world: world.tester.client, {}, {"workflow": WORKFLOW}),
    "WorkflowTester.callback": (
        lambda world: world.tester.callback,
        {"function": noted, "foreign_id": "1", "message": "x"},
        {
            "function": ["noted", None, 5, finish],
            "foreign_id": [*TEXT, "", "x" * 300, "a\0"],
            "message": [5, None, b"no json"],
            "idempotency_key": [5, b"text", "", "x" * 300],
        },
    ),
    "WorkflowTester.feed": (
        lambda world: world.tester.feed,
        {},
        {"connector": [*TEXT, "nothing"]},
    ),
    "WorkflowTester.crash_at": (
        lambda world: crash_at(world.tester),
        {"commit": 10_000},
        {"commit": [*COUNT, None, 1], "side": [None, 5, "beside", []]},
    ),
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
    "Workflow.batch_step": "test_batch_steps.py: its mistakes are collected",
    **dict.fromkeys(
        (
            "Workflow.callback",
            "Workflow.timeout",
            "Workflow.child",
            "Workflow.children",
            "Workflow.connector",
            "Workflow.schedule",
            "Workflow.on_pause",
            "Workflow.on_cancel",
            "Workflow.on_complete",
        ),
        "test_one_mistake_in_waits.py: its mistakes are collected",
    ),
    "Workflow.encode": "test_data.py: it takes data alone",
    "Workflow.decode": "for what is stored: its errors are pydantic's",
    "Workflow.migrate": "test_migrations.py: its mistakes are collected",
    "Workflow.migrated": "for what is stored: its errors are of ValueError",
    "Workflow.status_of": "for what is stored: its error is KeyError",
    "Workflow.checked": "it takes nothing",
    "Diagram": "made by `Workflow.graph`",
    **dict.fromkeys(("Diagram.dot", "Diagram.mermaid", "Diagram.svg"), "it takes nothing"),
    "Retry.delay": "for this package",
    **dict.fromkeys(("Retention.ages", "Retention.is_empty"), "it takes nothing"),
    "Workflow.scrub": "test_one_mistake_in_waits.py: its mistakes are collected",
    **dict.fromkeys(("ClaimCheck", "Codec", "Payload", "RunKeys", "Unreadable"), "a type"),
    **{
        f"{name}.{method}": "written by users, or called by this package"
        for name, methods in {
            "ClaimCheck": ("delete", "read", "runs", "write"),
            "RunKeys": ("add", "delete", "get", "page", "replace"),
            **dict.fromkeys(
                ("Codec", "ClaimChecks", "Compression", "Encryption"),
                ("decode", "digests", "encode", "forget", "kept"),
            ),
        }.items()
        for method in methods
    },
    "Encryption.rewrap": "it takes nothing",
    "Client.sweep_codecs": "it takes nothing",
    "Breaker.open_seconds": "for this package",
    "ErrorDetail": "made by a role",
    "Children.stored": "for this package: it takes what is stored",
    "ConnectorEvent": "made by a source",
    "Client.with_default_keys": "for this package: a connector makes it",
    "CancelledEvent": "made by a run",
    "CancelledEvent.is_set": "it takes nothing",
    "CancelledEvent.set": "it takes nothing",
    "CancelledEvent.wait": "it takes nothing",
    "Run.stored": "for this package: it takes what is stored",
    "Run.unread": "for this package: it takes what is stored",
    "Trigger": "checked by trigger_many, which names its place in the list",
    "FunctionCall": "made by a role",
    "Middleware": "a type",
    "Proceed": "a type",
    "Stay": "it takes nothing",
    "Fatal": "an exception takes anything",
    "WorkflowError": "an exception takes anything",
    "Client": "made by `connect` and `Runtime.client`",
    "Handle": "made by a client",
    "Entry": "made by a handle",
    "ScheduleInfo": "made by a client",
    "StatusLimits": "made by a client",
    "DeadLetter": "made by a client",
    "DeadLetterContent": "made by a client",
    "DeadLetters": "made by a client",
    "BulkJob": "made by a client",
    "BulkPreview": "made by a client",
    "BulkProgress": "made by a client",
    **dict.fromkeys(
        (f"BulkJob.{name}" for name in ("progress", "pause", "resume", "abort", "drop")),
        "it takes nothing",
    ),
    "Client.bulk_jobs": "it takes nothing",
    "IteratedSource": "made by `source`",
    "IteratedSource.open": "for this package: a connector's role opens it",
    "IteratedSource.ends": "a decorator; a wrong function fails when it is called",
    "TransitionSource.open": "for this package: a connector's role opens it",
    "TransitionSource.forget": "it takes nothing",
    "Client.schedules": "it takes nothing",
    "Runtime": "made by `local` and `ray`",
    "WorkflowTester.settle": "it takes nothing",
    "WorkflowTester.due": "it takes nothing",
}
ENUMS = {"BulkState", "Cause", "RunState", "Status", "TriggerOutcome"}
