"""What a deploy reports that it restarts, without Ray (E15)."""

from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.records import PUBLISHER, DeployedWorkflow, Deployment
from workflow_ray.runtime.ray.changes import AS_ASKED, Change, changes

ORDERS = DeployedWorkflow(
    name="orders",
    reference="shop:orders",
    code="v1",
    statuses={"NEW": 1},
    partitions=16,
    groups={"orders-1-consumer": 2, PUBLISHER: 1},
)
LETTERS = replace(
    ORDERS, name="letters", reference="post:letters", groups={"letters-1-consumer": 1, PUBLISHER: 1}
)
ROLES = ("orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2")
NOTHING = Deployment(store_id="s")


def deployment(*workflows: DeployedWorkflow) -> Deployment:
    return Deployment(store_id="s", version=1, workflows=workflows)


def change_of(
    before: Deployment, after: DeployedWorkflow, *, restart: bool = False
) -> tuple[Change, str, tuple[str, ...]]:
    (change,) = changes(before, deployment(LETTERS, after), [after.name], restart=restart)
    assert change.workflow == after.name
    return change.change, change.why, change.roles


def test_where_nothing_ran_all_roles_are_started() -> None:
    assert (
        change_of(NOTHING, ORDERS)
        == change_of(NOTHING, ORDERS, restart=True)
        == (Change.STARTED, "", ROLES)
    )
    assert change_of(deployment(LETTERS), ORDERS) == (Change.STARTED, "", ROLES)


def test_what_has_not_changed_goes_on_unless_a_restart_is_asked_for() -> None:
    assert change_of(deployment(ORDERS), ORDERS) == (Change.UNCHANGED, "", ROLES)
    assert change_of(deployment(ORDERS), ORDERS, restart=True) == (
        Change.RESTARTED,
        AS_ASKED,
        ROLES,
    )


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("code", "v2", "its code has changed"),
        ("python_path", ("/srv",), "its code has moved"),
        ("statuses", {"NEW": 1, "DONE": 2}, "its statuses have changed"),
    ],
)
def test_the_roles_of_a_changed_workflow_are_restarted_and_nobody_elses(
    field: str, value: Any, why: str
) -> None:
    changed = replace(ORDERS, **{field: value})
    assert change_of(deployment(ORDERS, LETTERS), changed) == (Change.RESTARTED, why, ROLES)
    (others,) = changes(
        deployment(ORDERS, LETTERS), deployment(changed, LETTERS), ["letters"], restart=False
    )
    assert others.change is Change.UNCHANGED


def test_roles_that_operators_have_scaled_are_counted_as_they_run() -> None:
    scaled = replace(ORDERS, scaled={"orders-1-consumer": 3})
    assert len(change_of(deployment(scaled), scaled)[2]) == 3
