"""The diagram of a workflow has all of its functions and says what they do."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeAlias

import pytest
from pydantic import BaseModel

from workflow_ray import (
    Cancel,
    Children,
    Diagram,
    Pause,
    Repeat,
    Retry,
    Run,
    RunState,
    Status,
    Stay,
    Workflow,
)
from workflow_ray.definition.durations import spelled
from workflow_ray.diagram import Kind, Label, Mark, StatusPart, Tally
from workflow_ray.errors import InvalidDefinition, InvalidInput


class At(Status):
    OPEN = 1
    NEW = 2
    WAITING = 3
    DONE = 4
    LOST = 5


class Order(BaseModel):
    total: int = 0


class PartStatus(Status):
    MADE = 1
    SENT = 2


OrderRun: TypeAlias = Run[Order, At]
PartRun: TypeAlias = Run[Order, PartStatus]
parts = Workflow("parts", Order, PartStatus)
orders = Workflow("orders", Order, At, start=At.NEW, entry=At.WAITING)


@parts.step(PartStatus.MADE)
async def send(run: PartRun) -> Literal[PartStatus.SENT]:
    return PartStatus.SENT


@orders.step(At.NEW, on_failure=At.LOST, retry=Retry(attempts=5))
async def begin(run: OrderRun) -> Literal[At.OPEN, At.WAITING] | Repeat | Pause:
    return At.OPEN


@orders.callback(At.OPEN)
async def paid(run: OrderRun, message: str) -> Literal[At.WAITING]:
    return At.WAITING


@orders.callback(At.OPEN)
async def waived(run: OrderRun, message: str) -> Literal[At.WAITING]:
    return At.WAITING


@orders.callback(At.OPEN)
async def noted(run: OrderRun, message: str) -> Stay | Cancel:
    return Stay()


def due(zone: Any, run: OrderRun) -> datetime:
    return datetime.now(zone)


@orders.timeout(At.OPEN, after=timedelta(hours=49), on_failure=At.LOST, retry=Retry(attempts=1))
async def expire(run: OrderRun) -> Literal[At.LOST]:
    return At.LOST


@orders.timeout(At.OPEN, at=partial(due, UTC))
async def remind(run: OrderRun) -> Literal[At.OPEN]:
    return At.OPEN


@orders.timeout(At.OPEN, at=lambda run: datetime.now(UTC))
async def prompt(run: OrderRun) -> Literal[At.OPEN]:
    return At.OPEN


@orders.child(At.WAITING, parts)
async def part_ended(run: OrderRun, child: PartRun) -> Literal[At.DONE] | Stay:
    return Stay()


@orders.children(At.WAITING, parts)
async def parts_ended(run: OrderRun, children: Children[Order, PartStatus]) -> Literal[At.DONE]:
    return At.DONE


def ways(diagram: Diagram) -> dict[tuple[str, str, Kind], list[str]]:
    return {
        (diagram.statuses[each.source].name, diagram.statuses[each.target].name, each.kind): [
            label.text for label in each.labels
        ]
        for each in diagram.transitions
    }


def part(diagram: Diagram, name: str) -> StatusPart:
    (found,) = [each for each in diagram.statuses if each.name == name]
    return found


def test_each_function_is_a_transition_of_its_kind() -> None:
    assert ways(orders.graph()) == {
        ("NEW", "OPEN", Kind.STEP): ["begin"],
        ("NEW", "WAITING", Kind.STEP): ["begin"],
        ("NEW", "LOST", Kind.FAILURE): ["begin fails, after 5 attempts"],
        ("OPEN", "WAITING", Kind.CALLBACK): ["paid", "waived"],
        ("OPEN", "LOST", Kind.FAILURE): ["expire fails, at the first error"],
        ("OPEN", "LOST", Kind.TIMEOUT): ["expire, after 2 d 1 h"],
        ("OPEN", "OPEN", Kind.TIMEOUT): ["remind, at due()", "prompt, at a computed time"],
        ("WAITING", "DONE", Kind.CHILD): [
            "part_ended, a run of parts ended",
            "parts_ended, all runs of parts ended",
        ],
    }


def test_the_start_is_first_and_ends_and_entries_are_known() -> None:
    statuses = orders.graph().statuses
    assert [each.name for each in statuses] == ["NEW", "WAITING", "OPEN", "DONE", "LOST"]
    assert [each.name for each in statuses if each.is_start] == ["NEW"]
    assert [each.name for each in statuses if each.is_entry] == ["WAITING"]
    assert [each.name for each in statuses if each.is_terminal] == ["DONE", "LOST"]


def test_halts_are_marks_and_a_function_that_leads_nowhere_is_on_the_card() -> None:
    diagram = orders.graph()
    assert part(diagram, "NEW").marks == (Mark.REPEAT, Mark.PAUSE)
    assert part(diagram, "OPEN").marks == (Mark.STAY, Mark.CANCEL)
    assert part(diagram, "OPEN").functions == (Label(Kind.CALLBACK, "noted"),)


def test_counts_are_at_their_statuses() -> None:
    diagram = orders.graph(
        counts={
            (At.NEW, RunState.INITIATED): 1,
            (At.NEW, RunState.RUNNING): 2,
            (At.NEW, RunState.PAUSED): 9,
            (At.DONE, RunState.COMPLETED): 1000,
            (At.DONE, RunState.REQUESTED_DATA_DELETED): 1,
            (At.DONE, RunState.DATA_DELETED): 2,
            (At.LOST, RunState.CANCELLED): 0,
            (77, RunState.RUNNING): 4,
        },
        failed={At.NEW: 4, At.LOST: 3},
    )
    assert part(diagram, "NEW").counts == (
        (Tally.ACTIVE, 3),
        (Tally.FAILED, 4),
        (Tally.PAUSED, 5),
    )
    assert part(diagram, "DONE").counts == ((Tally.COMPLETED, 1000), (Tally.DELETED, 3))
    assert part(diagram, "LOST").counts == (), "runs that failed after the counts were read"
    lost = part(diagram, "status 77")
    assert (lost.is_known, lost.counts) == (False, ((Tally.ACTIVE, 4),))
    assert diagram.subtitle == "5 statuses · 1,019 runs"


def test_a_status_may_be_given_by_its_number() -> None:
    counts: dict[tuple[At | int, RunState], int] = {
        (2, RunState.PAUSED): 3,
        (At.NEW, RunState.PAUSED): 1,
    }
    assert part(orders.graph(counts=counts, failed={2: 4}), "NEW").counts == ((Tally.FAILED, 4),)


def test_without_counts_the_diagram_tells_of_no_runs() -> None:
    assert orders.graph().subtitle == "5 statuses"
    assert orders.graph(counts={}).subtitle == "5 statuses · 0 runs"


def test_wrong_counts_are_refused() -> None:
    wrong: Any = {(At.NEW, "PAUSED"): 1}
    with pytest.raises(InvalidInput, match=r"counts: its keys are \(status, run state\)"):
        orders.graph(counts=wrong)


def test_a_workflow_with_mistakes_has_no_diagram() -> None:
    with pytest.raises(InvalidDefinition):
        Workflow("not a name", Order, At).graph()


def test_a_function_within_another_has_its_own_name() -> None:
    inner = Workflow("inner", Order, PartStatus)

    @inner.step(PartStatus.MADE)
    async def send_it(run: PartRun) -> Literal[PartStatus.SENT]:
        return PartStatus.SENT

    assert ways(inner.graph()) == {("MADE", "SENT", Kind.STEP): [send_it.__name__]}


def test_a_batch_step_says_how_many_runs_it_takes() -> None:
    batches = Workflow("batches", Order, PartStatus)

    @batches.batch_step(PartStatus.MADE, max_batch=64)
    async def send_all(runs: list[PartRun]) -> list[Literal[PartStatus.SENT] | Exception]:
        return [PartStatus.SENT for _ in runs]

    label = "send_all, up to 64 runs a call"
    assert ways(batches.graph()) == {("MADE", "SENT", Kind.STEP): [label]}, send_all


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (172_800, "2 d"),
        (86_400 * 5000 + 1, "5,000 d 1 s"),
    ],
)
def test_durations_are_spelled_for_people(seconds: float, text: str) -> None:
    assert spelled(seconds) == text
