"""Transactional steps: whether the records' store can run them, and what they run with."""

from collections.abc import Iterable
from typing import Any

from workflow_ray.coding import coded_transactions
from workflow_ray.definition import Status, Step, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, Store, SystemClock, records_adapter, transactions_of
from workflow_ray.roles.transacting import TransactionWork
from workflow_ray.runtime.mixed import keeps_timeouts_apart
from workflow_ray.runtime.urls import place_of


def check_transactional(
    workflows: Iterable[Workflow[Any, Any]], records: str, *, elsewhere: bool = False
) -> None:
    """Check that the store can run the transactional steps of these workflows. Opens nothing.

    Args:
        workflows: The workflows.
        records: The URL of the store.
        elsewhere: The steps run in other processes than the one that has an embedded store open.

    Raises:
        InvalidInput: It names the step, and says what it needs.
    """
    steps = [
        (workflow, step)
        for workflow in workflows
        for step in workflow.checked().steps
        if step.session is not None
    ]
    for workflow, step in steps:
        if why := _flaw(step, records, elsewhere=elsewhere):
            raise InvalidInput(
                "records", f"{workflow.name}: the step {step.name} is transactional, and {why}"
            )


def _flaw(step: Step[Any], records: str, *, elsewhere: bool) -> str | None:
    found = transactions_of(records, clock=SystemClock(), store_id="")
    if found is None:
        return f"{place_of(records)} has no transactions: use PostgreSQL, MariaDB or SQLite"
    if found.for_async and not step.is_async:
        return "a plain function; here it must be an async one that takes an AsyncSession"
    if step.is_async and not found.for_async:
        return "an async function; here it must be a plain one that takes a Session"
    if elsewhere and not records_adapter(records).shared:
        return f"{place_of(records)} is written by one process: use PostgreSQL or MariaDB on Ray"
    return None


def transactions_for(
    workflow: Workflow[Any, Any], status: Status, records: str, store: Store, clock: Clock
) -> TransactionWork | None:
    """Return what the step of a status runs its transactions with. None: it has none.

    Args:
        workflow: The step's workflow.
        status: The step's status.
        records: The URL of the store.
        store: The store, which is open.
        clock: The store's clock.
    """
    step = workflow.checked().step(status)
    if step is None or step.session is None:
        return None
    check_transactional([workflow], records or "memory://")
    found = transactions_of(records, clock=clock, store_id=store.store_id)
    assert found is not None, "it was checked"
    return TransactionWork(coded_transactions(found, workflow), keeps_timeouts_apart(store))
