"""Makes queries of the filters that callers hand in."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from workflow_ray.client.inputs import checked_run_state, checked_several, checked_status
from workflow_ray.client.run_reader import RunReader
from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.arguments import checked_flag, checked_text, checked_time
from workflow_ray.definition.labels import checked_labels
from workflow_ray.errors import InvalidInput
from workflow_ray.records import Cause, RunId, RunQuery, RunState, flaw_of_key

S = TypeVar("S", bound=Status)
OfRun = RunReader[Any, Any] | str | None
"""A run, as its handle or its id; None: not filtered."""


def run_query(
    workflow: Workflow[Any, S],
    *,
    status: S | Collection[S] | None,
    run_state: RunState | Collection[RunState] | None,
    failed: bool,
    foreign_id: str | None,
    created_from: datetime | None,
    created_before: datetime | None,
    updated_before: datetime | None,
    parent: OfRun,
    child: OfRun,
    labels: Mapping[str, str] | None,
) -> RunQuery:
    """Make a query of filters, as `Client.runs` describes them. Raises InvalidInput."""

    def of_workflow(what: str, given: object) -> S:
        return checked_status(what, workflow, given)

    run_states = checked_several("run_state", run_state, checked_run_state)
    if checked_flag("failed", failed):
        if run_states:
            raise InvalidInput("run_state", "failed runs are PAUSED; leave it out, or `failed`")
        run_states = (RunState.PAUSED,)
    return RunQuery(
        workflow=workflow.name,
        statuses=tuple(each.value for each in checked_several("status", status, of_workflow)),
        run_states=run_states,
        causes=(Cause.FAILED,) if failed else (),
        foreign_id=None if foreign_id is None else _storable("foreign_id", foreign_id),
        created_from=_time("created_from", created_from),
        created_before=_time("created_before", created_before),
        updated_before=_time("updated_before", updated_before),
        parent=_run_id("parent", parent),
        child=_run_id("child", child),
        labels={} if labels is None else checked_labels("labels", labels),
    )


def _time(what: str, time: datetime | None) -> datetime | None:
    """Return the time in UTC, which every store can compare. Raises InvalidInput."""
    if time is None:
        return None
    try:
        return checked_time(what, time).astimezone(UTC)
    except OverflowError:
        raise InvalidInput(what, "in UTC it is before the year 1 or after the year 9999") from None


def _storable(what: str, text: object) -> str:
    """Return a text that every store can compare. Raises InvalidInput."""
    checked = checked_text(what, text)
    if why := flaw_of_key(checked):
        raise InvalidInput(what, why)
    return checked


def _run_id(what: str, run: object) -> RunId | None:
    """Return the id of a run that is named by its handle or by its id. Raises InvalidInput."""
    if run is None:
        return None
    if isinstance(run, RunReader):
        return run.run_id
    if not isinstance(run, str):
        raise InvalidInput(what, f"give a handle or a run id, not {type(run).__name__}")
    return RunId(_storable(what, run))
