"""Children: runs that another run has started, and what their parents are told of their ends."""

import msgspec

from workflow_ray.records.ids import RunId, Version
from workflow_ray.records.run_state import RunState


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a child is linked to the run that starts it."""

    # the parent's statuses that accept the message of the child's end; empty: none is posted
    statuses: tuple[int, ...] = ()
    # Whether the child counts among those of its workflow. When none of them is open any more, a
    # message is posted that the statuses `gathered_at` accept.
    gathered_at: tuple[int, ...] = ()
    cascades: bool = False  # the child is cancelled with the parent


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
