"""The public calls on a running workflow, with right and wrong arguments of each."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from tests.unit.arguments.made import crash_at, once
from tests.unit.arguments.values import (
    CALLING,
    COUNT,
    DURATION,
    FILTER,
    FLAG,
    LABELS,
    MIDNIGHT,
    REASON,
    STATUS,
    TEXT,
    TEXT_OR_NONE,
    TIME,
    URL,
    WAITING,
    WITHIN,
    WORKFLOW,
)
from tests.unit.arguments.world import (
    At,
    Invoice,
    Order,
    Other,
    World,
    Wrong,
    finish,
    noted,
    orders,
)
from workflow_ray import Trigger, connect


def wrong_trigger(*arguments: Any, **options: Any) -> Trigger[Any, Any]:
    return Trigger(*arguments, **options)


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
                [wrong_trigger(5, Order())],
                [Trigger("1", Order(), start_at=Other.X)],
                [wrong_trigger("1", Order(), delay="soon")],
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
            **FILTER,
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
            **FILTER,
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
