"""Runs that enter a status with flow control are parked by the write that lets them enter."""

from enum import Enum
from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel

from tests.unit.parcels import record as stored
from workflow_ray import FlowControl, Retry, Run, RunState, Status, Workflow
from workflow_ray.engine.control import Action, Control, Destination, Refused, decide_control
from workflow_ray.engine.events import is_awaited, is_current
from workflow_ray.engine.fork import fork_of
from workflow_ray.engine.next_version import Next
from workflow_ray.engine.runs import first_write
from workflow_ray.engine.transition import Failed, Park, Returned, decide
from workflow_ray.errors import InvalidInput
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Cause,
    Event,
    Parking,
    Record,
    Topic,
    Version,
    Write,
    new_run_id,
    new_write_id,
)


class At(Status):
    NEW = 1
    BOOKED = 2
    FAILED = 3


class Tenant(str, Enum):  # noqa: UP042  # its text differs from its value
    ACME = "acme"


class Trip(BaseModel):
    tenant: str = "acme"
    urgency: int = 7
    broken: str = ""


TripRun = Run[Trip, At]


def key(run: TripRun) -> Any:
    match run.data.broken:
        case "raises":
            raise ValueError("no tenant")
        case "type":
            return 5
        case "long":
            return "x" * 300
        case "exit":
            raise SystemExit
        case "enum":
            return Tenant.ACME
        case _:
            return run.data.tenant


def priority(run: TripRun) -> Any:
    match run.data.broken:
        case "float":
            return 1.5
        case "large":
            return 2**31
        case "flag":
            return True
        case _:
            return run.data.urgency


FLOW: FlowControl[Trip, At] = FlowControl(key=key, priority=priority)
trips = Workflow("trips", Trip, At, entry=(At.BOOKED,))
BROKEN = [
    ("raises", "its `key` raised ValueError: no tenant"),
    ("exit", "its `key` raised SystemExit"),
    ("type", "its `key` gave a value of type int, not text"),
    ("long", "its `key` gave a key that can't be used: it has 300 characters"),
    ("float", "its `priority` gave a value of type float, not a whole number"),
    ("flag", "its `priority` gave a value of type bool"),
    ("large", "its `priority` gave a number outside of"),
]


@trips.step(At.NEW, retry=Retry(attempts=1), on_failure=At.BOOKED)
async def begin(run: TripRun) -> Literal[At.BOOKED]:
    return At.BOOKED


@trips.step(At.BOOKED, flow=FLOW)
async def book(run: TripRun) -> Literal[At.FAILED]:
    return At.FAILED


def at_new(broken: str = "") -> Record:
    data = trips.encode(Trip(broken=broken))
    return stored(workflow="trips", status=1, data=data, awaited=Version(2))


def entering(record: Record) -> dict[str, Write]:
    """The writes with which a run can enter BOOKED, but for its first one."""
    step = trips.checked().step(At.NEW)
    assert step is not None
    ids: dict[str, Any] = {"by": "me", "write_id": new_write_id()}
    moved = Control(Action.MOVE, "me", "a test", to=Destination(trips, At.BOOKED))
    move = decide_control(record, moved, write_id=new_write_id())
    return {
        "step": decide(record, Returned(At.BOOKED, None), step, trips, **ids),
        "on_failure": decide(record, Failed("no seat"), step, trips, **ids),
        "move": move if isinstance(move, Write) else _refused(record, move),
    }


def _refused(record: Record, move: object) -> Write:
    """A move is refused where another write pauses the run."""
    assert isinstance(move, Refused)
    return Next(record, "me", new_write_id()).fail(move.why)


def first(start: At, broken: str = "", delay: float = 0.0) -> Write:
    return first_write(
        trips,
        "1",
        trips.encode(Trip(broken=broken)),
        start,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by="me",
        delay=delay,
    )


def check_parked(write: Write) -> None:
    assert write.parking == Parking(key="acme", priority=7)
    assert (write.parked, write.awaits, write.asks) == (True, Awaits.PARKED, True)
    assert write.events == ()


@pytest.mark.parametrize("way", ["step", "on_failure", "move"])
def test_a_write_that_enters_parks_the_run(way: str) -> None:
    check_parked(entering(at_new())[way])


def test_a_key_is_stored_as_plain_text() -> None:
    parking = first(At.BOOKED, "enum").parking
    assert parking == Parking(key="acme", priority=7)
    assert parking is not None
    assert type(parking.key) is str


def test_a_first_write_parks_the_run() -> None:
    check_parked(first(At.BOOKED))
    past = at_new()
    fork = fork_of(
        trips,
        past,
        foreign_id="2",
        status=At.BOOKED,
        data=past.data,
        by="me",
        reason=None,
        idempotency_key=None,
    )
    check_parked(fork)


@pytest.mark.parametrize(("broken", "why"), BROKEN)
def test_a_function_that_gives_nothing_to_use_pauses_the_run_or_refuses_it(
    broken: str, why: str
) -> None:
    for way, write in entering(at_new(broken)).items():
        assert (write.run_state, write.cause, write.status) == (RunState.PAUSED, Cause.FAILED, 1)
        assert write.reason is not None
        assert f"the flow control of At.BOOKED can't park the run: {why}" in write.reason
        assert ("no seat" in write.reason) == (way == "on_failure")
    with pytest.raises(InvalidInput, match=r"a run of trips that starts at At\.BOOKED"):
        first(At.BOOKED, broken)
    with pytest.raises(InvalidInput):
        first(At.BOOKED, broken, delay=5)


def test_a_delayed_run_is_not_parked_until_its_event_comes() -> None:
    write = first(At.BOOKED, delay=5)
    assert (write.parking, write.parked, write.awaits) == (None, False, Awaits.EVENT)
    assert [event.delay for event in write.events] == [5]
    delayed = msgspec.structs.replace(at_new(), status=2, awaited=Version(1), attempt=1)
    step = trips.checked().step(At.BOOKED)
    assert step is not None
    park = Returned(Park(At.BOOKED, FLOW), None)
    parked = decide(delayed, park, step, trips, by="me", write_id=new_write_id())
    check_parked(parked)
    assert (parked.cause, parked.attempt, parked.visit) == (Cause.PARKED, 1, delayed.visit)
    with pytest.raises(InvalidInput, match=r"delay: At\.FAILED has no step"):
        first(At.FAILED, delay=5)


def test_an_event_asks_for_the_step_of_an_admitted_run_only() -> None:
    parked = entering(at_new())["step"].onto(at_new())
    woken = msgspec.structs.replace(parked, awaits=Awaits.EVENT, messages=1)
    write = Next(parked, "role", new_write_id()).admit()
    assert (write.cause, write.parked, write.parking) == (Cause.ADMITTED, False, parked.parking)
    admitted = write.onto(parked)
    asked = Event(
        run_id=parked.run_id,
        topic=Topic("trips-2"),
        partition=0,
        version=admitted.version,
        status=2,
    )
    early = msgspec.structs.replace(asked, version=parked.version)
    assert is_current(asked, admitted)
    assert not any(is_current(early, record) for record in (parked, woken, admitted))
    assert not is_awaited(early, parked)
    assert is_awaited(early, woken), "it asks for a look into the inbox"
    assert is_awaited(msgspec.structs.replace(early, version=NO_VERSION), woken)


@pytest.mark.parametrize("action", [Action.RESUME, Action.RETRY])
@pytest.mark.parametrize("was_parked", [False, True])
def test_a_run_that_goes_on_after_a_pause_is_parked_where_it_was(
    action: Action, was_parked: bool
) -> None:
    parked = entering(at_new())["step"].onto(at_new())
    before = parked if was_parked else Next(parked, "role", new_write_id()).admit().onto(parked)
    paused = Next(before, "role", new_write_id()).fail("no seat", attempt=1).onto(before)
    assert paused.awaits is Awaits.NOBODY
    write = decide_control(paused, Control(action, "me"), write_id=new_write_id())
    assert isinstance(write, Write)
    check_parked(write)
    assert write.attempt == 0


def test_a_run_that_waits_for_its_next_attempt_keeps_its_slot_when_it_is_retried() -> None:
    parked = entering(at_new())["step"].onto(at_new())
    admitted = Next(parked, "role", new_write_id()).admit().onto(parked)
    failed = msgspec.structs.replace(admitted, attempt=1)
    write = decide_control(failed, Control(Action.RETRY, "me"), write_id=new_write_id())
    assert isinstance(write, Write)
    assert (write.parked, write.parking, write.awaits) == (False, parked.parking, Awaits.EVENT)
    paused = decide_control(failed, Control(Action.PAUSE, "me", "wait"), write_id=new_write_id())
    assert isinstance(paused, Write)
    held = paused.onto(failed)
    resumed = decide_control(held, Control(Action.RESUME, "me"), write_id=new_write_id())
    assert isinstance(resumed, Write)
    check_parked(resumed)
    assert resumed.attempt == 1
    again = decide_control(resumed.onto(held), Control(Action.RETRY, "me"), write_id=new_write_id())
    assert isinstance(again, Write)
    check_parked(again)


def test_a_limit_per_key_needs_a_key() -> None:
    with pytest.raises(InvalidInput, match=r"FlowControl\(concurrency_per_key=\.\.\.\): a limit"):
        FlowControl(concurrency_per_key=1)
