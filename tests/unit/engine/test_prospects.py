"""Whether a run can still reach a status."""

from tests.unit.parcels import Route, record, routed
from workflow_ray.engine.prospects import Outlook, Prospect, outlook
from workflow_ray.records import Cause, Record, RunState

NAMES = {status.value: status.name for status in Route}


def seen(run: Record, target: Route, *visited: Route) -> Outlook:
    return outlook(run, {status.value for status in visited}, target, routed().checked(), NAMES)


def test_a_status_that_the_run_is_at_is_there() -> None:
    assert seen(record(), Route.PACKED, Route.PACKED).prospect is Prospect.THERE


def test_a_status_that_the_run_has_passed_is_there_even_when_the_run_has_ended() -> None:
    ended = record(status=Route.SENT.value, run_state=RunState.COMPLETED)
    assert seen(ended, Route.NEW, Route.NEW, Route.PACKED, Route.SENT).prospect is Prospect.THERE


def test_a_status_that_transitions_lead_to_is_open() -> None:
    assert seen(record(status=Route.NEW.value), Route.SENT, Route.NEW).prospect is Prospect.OPEN


def test_a_status_that_only_on_failure_leads_to_is_open() -> None:
    assert seen(record(), Route.LOST, Route.PACKED).prospect is Prospect.OPEN


def test_an_earlier_status_that_was_not_visited_is_unreachable() -> None:
    view = seen(record(), Route.NEW, Route.PACKED)
    assert view == Outlook(
        Prospect.UNREACHABLE, "it is at PACKED, from where no transition leads there"
    )


def test_nothing_is_reachable_for_a_run_that_has_ended() -> None:
    cancelled = record(run_state=RunState.CANCELLED, cause=Cause.CANCEL, reason="empty order")
    assert seen(cancelled, Route.SENT, Route.PACKED) == Outlook(
        Prospect.UNREACHABLE, "it is CANCELLED at PACKED (empty order)"
    )


def test_nothing_is_reachable_from_a_status_that_the_code_does_not_have() -> None:
    assert seen(record(status=9), Route.SENT) == Outlook(
        Prospect.UNREACHABLE, "it is at 9, from where no transition leads there"
    )


def test_a_run_paused_by_an_error_says_which() -> None:
    failed = record(run_state=RunState.PAUSED, cause=Cause.FAILED, reason="ValueError: broken")
    assert seen(failed, Route.SENT, Route.PACKED) == Outlook(
        Prospect.PAUSED_BY_ERROR, "ValueError: broken"
    )


def test_a_run_paused_on_purpose_is_open() -> None:
    paused = record(run_state=RunState.PAUSED, cause=Cause.PAUSE, reason="a person must look")
    assert seen(paused, Route.SENT, Route.PACKED).prospect is Prospect.OPEN
