"""Wrong values, by what a parameter takes."""

from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

from tests.unit.arguments.world import Order, Other, finish, orders
from workflow_ray import RunState

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = MIDNIGHT.replace(tzinfo=None)
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
FILTER: dict[str, list[Any]] = {
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
}
