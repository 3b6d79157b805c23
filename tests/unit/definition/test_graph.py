"""The graph of a definition."""

from typing import Literal

import pytest
from pydantic import BaseModel

from workflow_ray.definition import Run, Status, Workflow


class At(Status):
    START = 1
    LOOP = 2
    FAILED = 3
    END = 4


class Data(BaseModel):
    pass


Here = Run[Data, At]
workflow = Workflow("round", Data, At)


@workflow.step(At.START)
async def begin(run: Here) -> Literal[At.LOOP]:
    return At.LOOP


@workflow.step(At.LOOP, on_failure=At.FAILED)
async def again(run: Here) -> Literal[At.LOOP, At.END]:
    return At.END


graph = workflow.checked()


def test_a_status_without_a_step_is_terminal() -> None:
    assert [status for status in At if graph.is_terminal(status)] == [At.FAILED, At.END]
    assert graph.step(At.END) is None


def test_steps_are_in_the_order_in_which_they_were_declared() -> None:
    assert [step.function for step in graph.steps] == [begin, again]


def test_targets_are_what_one_transition_leads_to() -> None:
    assert graph.targets(At.START) == {At.LOOP}
    assert graph.targets(At.LOOP) == {At.LOOP, At.END, At.FAILED}
    assert graph.targets(At.END) == set()


@pytest.mark.parametrize(
    ("origin", "reached"),
    [
        (At.START, {At.LOOP, At.FAILED, At.END}),
        (At.LOOP, {At.LOOP, At.FAILED, At.END}),
        (At.FAILED, set[At]()),
        (At.END, set[At]()),
    ],
)
def test_a_status_reaches_itself_only_by_a_cycle(origin: At, reached: set[At]) -> None:
    assert {status for status in At if graph.reaches(origin, status)} == reached


def test_a_status_is_found_by_its_number() -> None:
    assert workflow.status_of(3) is At.FAILED
    with pytest.raises(KeyError):
        workflow.status_of(9)


def test_the_first_member_is_the_start_unless_another_is_named() -> None:
    assert workflow.start is At.START
    assert Workflow("round", Data, At, start=At.LOOP).start is At.LOOP


def test_one_function_may_be_the_step_of_several_statuses() -> None:
    twice = Workflow("twice", Data, At)

    @twice.step(At.START)
    @twice.step(At.LOOP)
    async def end(run: Here) -> Literal[At.LOOP, At.END, At.FAILED]:
        return At.END

    steps = twice.checked().steps
    assert {step.status: step.function for step in steps} == {At.LOOP: end, At.START: end}
