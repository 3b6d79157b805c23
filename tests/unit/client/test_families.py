"""Clients list the children and the parents of runs."""

from typing import Any, Literal

import msgspec
import pytest

from tests.unit.client.orders import At, Order, OrderRun
from workflow_ray import Client, Run, Status, Workflow
from workflow_ray.engine.next_version import Next
from workflow_ray.engine.runs import first_write
from workflow_ray.errors import InvalidInput
from workflow_ray.records import (
    Cause,
    Committed,
    Link,
    NewChild,
    RunId,
    RunState,
    Stored,
    WriteGroup,
    new_run_id,
    new_write_id,
)
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


class Stage(Status):
    DRAFT = 1
    SENT = 2


InvoiceRun = Run[Order, Stage]


def staged(name: str) -> Workflow[Order, Stage]:
    workflow = Workflow(name, Order, Stage)

    @workflow.step(Stage.DRAFT)
    async def send(run: InvoiceRun) -> Literal[Stage.SENT]:
        return Stage.SENT

    return workflow


invoices = staged("invoices")
letters = staged("letters")
orders = Workflow("orders", Order, At, entry=(At.AWAITING_PAYMENT, At.EXPIRED))


@orders.step(At.CREATED)
async def invoice(run: OrderRun) -> Literal[At.PAID]:
    return At.PAID


@orders.child(At.PAID, invoices)
async def invoiced(run: OrderRun, child: InvoiceRun) -> Literal[At.SHIPPED]:
    return At.SHIPPED


class Family:
    """A store with orders that have started invoices and letters."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.orders = Client(orders, self.store, self.clock)
        self.invoices = Client(invoices, self.store, self.clock)

    async def start(
        self, parent: str, workflow: Workflow[Any, Any], *foreign_ids: str
    ) -> list[RunId]:
        """Let a run start children. Those with an unfinished run are joined."""
        (record,) = await self.store.lookup([RunId(parent)])
        assert record is not None
        children = tuple(
            NewChild(
                write=first_write(
                    workflow,
                    foreign_id,
                    workflow.encode(Order()),
                    Stage.DRAFT,
                    run_id=new_run_id(),
                    write_id=new_write_id(),
                    by="role",
                ),
                link=Link(),
                joins=True,
            )
            for foreign_id in foreign_ids
        )
        write = Next(record, "role", new_write_id()).stay(Cause.STAY)
        group = WriteGroup(writes=(msgspec.structs.replace(write, children=children),))
        (answer,) = await self.store.store([group])
        assert isinstance(answer, Committed)
        assert isinstance(answer.results[0], Stored)
        return [child.write.run_id for child in children]


@pytest.fixture
def family() -> Family:
    return Family()


async def test_a_handle_lists_the_children_of_a_workflow(family: Family) -> None:
    parent = await family.orders.trigger("order-1", Order())
    other = await family.orders.trigger("order-2", Order())
    started = await family.start(parent.run_id, invoices, *(f"i{n}" for n in range(3)))
    await family.start(other.run_id, invoices, "i9")
    await family.start(parent.run_id, letters, "l1")
    assert [run.run_id async for run in parent.children(invoices)] == started
    assert [run.foreign_id async for run in parent.children(letters)] == ["l1"]


async def test_without_a_workflow_those_are_listed_that_the_definition_names(
    family: Family,
) -> None:
    parent = await family.orders.trigger("order-1", Order())
    await family.start(parent.run_id, invoices, "i1")
    await family.start(parent.run_id, letters, "l1")
    assert [run.foreign_id async for run in parent.children()] == ["i1"]


async def test_a_handle_lists_the_parents(family: Family) -> None:
    one = await family.orders.trigger("order-1", Order())
    two = await family.orders.trigger("order-2", Order())
    (child,) = await family.start(one.run_id, invoices, "i1")
    await family.start(two.run_id, invoices, "i1")  # it joins the unfinished run
    handle = family.invoices.handle(child)
    assert [run.foreign_id async for run in handle.parents(orders)] == ["order-1", "order-2"]
    assert [run.foreign_id async for run in handle.parents(letters)] == []


async def test_a_client_lists_runs_by_their_parent_and_by_their_child(family: Family) -> None:
    parent = await family.orders.trigger("order-1", Order())
    await family.invoices.trigger("i0", Order())
    (child,) = await family.start(parent.run_id, invoices, "i1")
    for named in (parent, parent.run_id):
        assert [run.run_id async for run in family.invoices.runs(parent=named)] == [child]
    of_state = family.invoices.runs(parent=parent, run_state=RunState.COMPLETED)
    assert [run async for run in of_state] == []
    assert [run.run_id async for run in family.orders.runs(child=child)] == [parent.run_id]


@pytest.mark.parametrize("wrong", ["invoices", 5, [invoices]])
async def test_a_workflow_is_handed_in_itself(family: Family, wrong: Any) -> None:
    parent = await family.orders.trigger("order-1", Order())
    for listed in (parent.children(wrong), parent.parents(wrong)):
        with pytest.raises(InvalidInput, match="workflow: hand in the Workflow itself"):
            await anext(listed)
