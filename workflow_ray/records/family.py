"""Children: runs that another run has started, and what their parents are told of their ends."""

import msgspec

from workflow_ray.records.ids import RunId, Version
from workflow_ray.records.message import MessageId, MessageKey, MessageKind, NewMessage
from workflow_ray.records.run_state import RunState


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a child is linked to the run that starts it."""

    # the parent's statuses that accept the message of the child's end; empty: none is posted
    statuses: tuple[int, ...] = ()
    # Whether the child counts among those of its workflow. When none of them is open any more, a
    # message is posted that the statuses `gathered_at` accept.
    gathered_at: tuple[int, ...] = ()
    cascades: bool = False  # the child is cancelled with the parent


class Linked(msgspec.Struct, frozen=True, gc=False):
    """A link of a parent to a child."""

    parent: RunId
    child: RunId
    since: Version  # of the parent, which made the link
    link: Link


class Gathering(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Asks for the message of the last child's end on entering a status, also if none is open."""

    workflow: str  # of the children
    statuses: tuple[int, ...]  # of the parent that accept the message


class ChildEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payload, as JSON, of a message of MessageKind.CHILD."""

    run_id: RunId
    status: int
    run_state: RunState


class ChildrenEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payload, as JSON, of a message of MessageKind.CHILDREN."""

    since: Version  # the parent's version that started the first of these children; 0: none
    started: int = 0  # those that were joined included
    completed: int = 0
    cancelled: int = 0


class Gathered(msgspec.Struct, gc=False):
    """The children of one workflow that a parent waits for together."""

    since: Version  # the parent's version that started the first of them
    unended: int = 0
    started: int = 0
    completed: int = 0
    cancelled: int = 0

    def start(self) -> None:
        self.started += 1
        self.unended += 1

    def end(self, run_state: int) -> None:
        self.unended -= 1
        self.completed += run_state == RunState.COMPLETED
        self.cancelled += run_state == RunState.CANCELLED

    def told(self) -> ChildrenEnd:
        """Return what the message of the last child's end says."""
        return ChildrenEnd(
            since=self.since,
            started=self.started,
            completed=self.completed,
            cancelled=self.cancelled,
        )


def new_child_message(
    linked: Linked, end: ChildEnd, *, workflow: str, name: str, by: str
) -> NewMessage:
    """Make the message that says that a child has ended.

    Args:
        linked: The link of the parent that gets it.
        end: What it says.
        workflow: That of the parent.
        name: The child's workflow.
        by: Who has ended the child.
    """
    message_id = MessageId(f"{linked.parent}:{end.run_id}:{linked.since}")
    return NewMessage(
        key=MessageKey(workflow, MessageKind.CHILD, message_id),
        run_id=linked.parent,
        name=name,
        statuses=linked.link.statuses,
        kept_at=None,
        payload=msgspec.json.encode(end),
        by=by,
    )


def new_children_message(
    parent: RunId, version: Version, end: ChildrenEnd, *, workflow: str, asked: Gathering, by: str
) -> NewMessage:
    """Make the message that says that the last child of a workflow has ended.

    Args:
        parent: The run that gets it.
        version: That of the parent now.
        end: What it says.
        workflow: That of the parent.
        asked: The children's workflow, and the statuses that accept the message.
        by: Who has ended the child, or asks for the message.
    """
    message_id = MessageId(f"{parent}:{asked.workflow}:{version}")
    return NewMessage(
        key=MessageKey(workflow, MessageKind.CHILDREN, message_id),
        run_id=parent,
        name=asked.workflow,
        statuses=asked.statuses,
        payload=msgspec.json.encode(end),
        by=by,
    )
