"""The children that a function of its parent is called with."""

from collections.abc import AsyncIterator

from tests.unit.definition.test_waits import Order, Part, PartAt
from workflow_ray.definition import Children, Run
from workflow_ray.records import RunState


async def test_the_children_of_a_test_are_counted_by_how_they_ended() -> None:
    runs = [
        Run(Order(total=at), PartAt.MADE, run_state=state)
        for at, state in enumerate([RunState.COMPLETED, RunState.CANCELLED, RunState.COMPLETED])
    ]
    children = Children(runs)
    assert (children.started, children.completed, children.cancelled) == (3, 2, 1)
    assert [run async for run in children] == runs
    assert [run async for run in children] == runs, "they can be gone over again"


async def test_stored_children_are_read_when_they_are_gone_over() -> None:
    reads = 0

    async def read() -> AsyncIterator[Part]:
        nonlocal reads
        reads += 1
        yield Run(Order(), PartAt.MADE)

    children = Children.stored(9, 5, 4, read)
    assert repr(children) == "<Children started=9 completed=5 cancelled=4>"
    assert reads == 0
    assert len([run async for run in children]) == 1
    assert reads == 1
