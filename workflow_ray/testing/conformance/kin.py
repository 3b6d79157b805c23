"""Parents and children for the cases."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Awaits,
    ChildEnd,
    ChildrenEnd,
    Gathering,
    Link,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    MessageQuery,
    NewChild,
    Record,
    RunId,
    RunQuery,
    RunState,
    Write,
)
from workflow_ray.testing.conformance.posts import end, rest
from workflow_ray.testing.conformance.runs import PAID, new_run, store_all

ENDED = Link(statuses=(PAID,))
"""The parent gets a message when the child ends, which PAID accepts."""
GATHERED = Link(gathered_at=(PAID,))
"""The parent gets a message when its last child ends, which PAID accepts."""
GATHERING = Gathering(workflow="invoices", statuses=(PAID,))
LINK = Link()


def child(
    foreign_id: str | None = None,
    *,
    link: Link = LINK,
    joins: bool = False,
    workflow: str = "invoices",
    run_state: RunState = RunState.INITIATED,
) -> NewChild:
    write = new_run(foreign_id, workflow=workflow)
    if run_state.finished:
        write = replace(write, run_state=run_state, awaits=Awaits.NOBODY, asks=False)
    return NewChild(write=write, link=link, joins=joins)


def starting(
    before: Record | Write,
    *children: NewChild,
    status: int = PAID,
    gathers: bool = False,
    **changes: Any,
) -> Write:
    """Make a write that starts children, after which the run waits for messages."""
    write = replace(rest(before, status=status), children=children, **changes)
    return replace(write, gatherings=(GATHERING,)) if gathers else write


def staying(before: Write, *children: NewChild) -> Write:
    """Make a write that starts children, and stays in the visit."""
    return starting(before, *children, status=before.status, visit=before.visit)


async def parent_of(store: RecordStore, *children: NewChild, gathers: bool = False) -> Write:
    """Store a run that has started the children and is at PAID, and return its last write."""
    run = new_run()
    write = starting(run, *children, gathers=gathers)
    await store_all(store, run, write)
    return write


async def end_of(
    store: RecordStore, *children: NewChild, run_state: RunState = RunState.COMPLETED
) -> None:
    """End children that have their first version, in one call."""
    await store_all(store, *(end(each.write, run_state=run_state) for each in children))


def child_key(parent: Write, run_id: RunId, *, version: int | None = None) -> MessageKey:
    """Return the key of the message that the child has ended, which the write has started."""
    since = parent.version if version is None else version
    return MessageKey("orders", MessageKind.CHILD, MessageId(f"{parent.run_id}:{run_id}:{since}"))


def children_key(parent: Write, *, workflow: str = "invoices") -> MessageKey:
    """Return the key of the message that the last child has ended, at the write's version."""
    message_id = MessageId(f"{parent.run_id}:{workflow}:{parent.version}")
    return MessageKey("orders", MessageKind.CHILDREN, message_id)


async def waiting_messages(store: RecordStore, run: Record | Write) -> list[Message]:
    return await store.messages(MessageQuery(run_ids=(run.run_id,)))


async def reported_ends(store: RecordStore, run: Record | Write) -> list[ChildEnd]:
    """Return what the run's waiting messages say of children, by run id."""
    ends = [
        msgspec.json.decode(message.payload, type=ChildEnd)
        for message in await waiting_messages(store, run)
        if message.key.kind is MessageKind.CHILD
    ]
    return sorted(ends, key=lambda reported: reported.run_id)


async def reported_gatherings(store: RecordStore, run: Record | Write) -> list[ChildrenEnd]:
    """Return what the run's waiting messages say of all children of a workflow."""
    return [
        msgspec.json.decode(message.payload, type=ChildrenEnd)
        for message in await waiting_messages(store, run)
        if message.key.kind is MessageKind.CHILDREN
    ]


async def children_of(
    store: RecordStore, parent: Record | Write, *, workflow: str = "invoices", **filters: Any
) -> list[RunId]:
    query = RunQuery(workflow=workflow, parent=parent.run_id, **filters)
    return [record.run_id for record in await store.runs(query)]


async def parents_of(store: RecordStore, run_id: RunId) -> list[RunId]:
    return [record.run_id for record in await store.runs(RunQuery(workflow="orders", child=run_id))]


def ids(children: Sequence[NewChild]) -> list[RunId]:
    return sorted(each.write.run_id for each in children)
