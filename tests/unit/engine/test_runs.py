"""The conversion of records to runs, and of triggers to first writes."""

import pytest

from tests.unit.parcels import Parcel, Route, record, routed
from workflow_ray.engine.runs import first_write, run_of
from workflow_ray.engine.transition import Returned, decide
from workflow_ray.errors import UnknownStatus, UnreadableData
from workflow_ray.records import (
    NO_VERSION,
    Cause,
    RunState,
    Version,
    Write,
    new_run_id,
    new_write_id,
    partition_of,
)


def first(start: Route) -> Write:
    return first_write(
        routed(),
        "parcel-1",
        b"{}",
        start,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by="client",
        idempotency_key="k",
    )


def test_a_run_has_the_typed_values_of_its_record() -> None:
    stored = record(version=Version(7), visit=Version(5), attempt=1, reason="ValueError: broken")
    run = run_of(routed(), stored)
    assert (run.data, run.status, run.run_state) == (
        Parcel(weight=1),
        Route.PACKED,
        RunState.RUNNING,
    )
    assert (run.run_id, run.foreign_id, run.version, run.visit) == (stored.run_id, "parcel-1", 7, 5)
    assert (run.attempt, run.reason, run.created_at, run.updated_at) == (
        1,
        "ValueError: broken",
        stored.created_at,
        stored.updated_at,
    )
    assert run.idempotency_key == f"{stored.run_id}:5"


def test_an_error_about_data_names_the_field_and_never_the_value() -> None:
    with pytest.raises(UnreadableData) as raised:
        run_of(routed(), record(data=b'{"weight":"secret","label":7}'))
    assert "weight: " in str(raised.value)
    assert "label: " in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_error_about_data_that_is_not_json_does_not_show_it() -> None:
    with pytest.raises(UnreadableData) as raised:
        run_of(routed(), record(data=b"secret"))
    assert "the whole: " in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_error_names_the_number_of_an_unknown_status() -> None:
    with pytest.raises(UnknownStatus, match="status 9"):
        run_of(routed(), record(status=9))


def test_the_first_write_makes_a_run_that_goes_on() -> None:
    write = first(Route.NEW)
    assert (write.expected, write.version, write.visit, write.cause) == (
        NO_VERSION,
        1,
        1,
        Cause.TRIGGER,
    )
    assert (write.run_state, write.status, write.data) == (
        RunState.INITIATED,
        Route.NEW.value,
        b"{}",
    )
    assert write.new is not None
    assert (write.new.workflow, write.new.foreign_id, write.new.idempotency_key) == (
        "routed",
        "parcel-1",
        "k",
    )
    assert write.new.partition == partition_of(write.run_id, 16)
    assert [(event.topic, event.partition) for event in write.events] == [
        ("routed-1", write.new.partition)
    ]


def test_a_run_that_starts_at_a_status_without_a_step_is_complete() -> None:
    write = first(Route.SENT)
    assert (write.run_state, write.events) == (RunState.COMPLETED, ())


def test_a_record_after_a_write_is_what_a_store_makes_of_it() -> None:
    workflow = routed()
    step = workflow.checked().step(Route.PACKED)
    assert step
    before = record()
    write = decide(
        before, Returned(Route.SENT, None), step, workflow, by="role", write_id=new_write_id()
    )
    landed = write.onto(before)
    assert (landed.version, landed.status, landed.run_state, landed.cause) == (
        3,
        Route.SENT.value,
        RunState.COMPLETED,
        Cause.STEP,
    )
    assert landed.data == before.data
