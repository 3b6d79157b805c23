"""What commits have changed, for those who wait for it in this process, and in others where the
database can pass it on.
"""

from collections.abc import Iterable
from enum import IntFlag
from typing import TypeAlias

import msgspec

from workflow_ray.records import MessageKey, RoleName, RunId, Topic, Version
from workflow_ray_adapters.sql.rows import AT_ONCE


class Kind(IntFlag):
    """The kinds of things that somebody may wait for. Processes send each other these numbers:
    never change one.
    """

    RUNS = 1
    EVENTS = 2
    OUTBOX = 4
    TIMEOUTS = 8
    ROLES = 16
    DEPLOYMENT = 32
    MESSAGES = 64
    SET_ASIDE = 128
    FLOW = 256


ALL = ~Kind(0)
Mail: TypeAlias = tuple[str, int, str, RunId]
"""Workflow, kind and id of a message, and its run."""


class Notification(msgspec.Struct, omit_defaults=True):
    """What a commit has changed. It decides only who looks, never what anybody finds. Any part of
    it may be lost.
    """

    runs: dict[RunId, Version] = {}  # their new versions
    at_rest: set[RunId] = set()  # the runs among them that now take no step by themselves
    events: dict[Topic, set[int]] = {}  # the partitions that have new events
    # microseconds: when new entries of the outbox are due, AT_ONCE among them
    due: set[int] = set()
    # new timeouts: workflow, status, and when they are due, in microseconds
    timeouts: set[tuple[str, int, int]] = set()
    roles: set[RoleName] = set()  # they have a new epoch
    deployment: bool = False  # there is a new one
    posted: set[Mail] = set()  # messages that are new, or have changed
    settled: set[Mail] = set()  # messages that wait no longer
    # groups with new entries that are set aside, and when these are due, in microseconds
    set_aside: set[tuple[str, int]] = set()
    # workflows and statuses at which something has changed for flow control
    flow: set[tuple[str, int]] = set()
    unnamed: Kind = Kind(0)  # the kinds of which something may have changed that is not named

    def __bool__(self) -> bool:
        return bool(
            self.unnamed
            or self.deployment
            or self.runs
            or self.events
            or self.due
            or self.timeouts
            or self.roles
            or self.posted
            or self.settled
            or self.set_aside
            or self.flow
        )

    def add_events(self, appended: Iterable[tuple[Topic, int]]) -> None:
        """Note that each of these topic-partitions has new events."""
        for topic, partition in appended:
            self.events.setdefault(topic, set()).add(partition)

    def add_message(self, key: MessageKey, run_id: RunId, *, is_settled: bool) -> None:
        """Note that a message is new, or has changed."""
        messages = self.settled if is_settled else self.posted
        messages.add((key.workflow, int(key.kind), key.id, run_id))

    def add(self, other: "Notification") -> None:
        """Add what the other notification says."""
        for run_id, version in other.runs.items():
            self.runs[run_id] = max(version, self.runs.get(run_id, version))
        self.at_rest |= other.at_rest
        for topic, partitions in other.events.items():
            self.events.setdefault(topic, set()).update(partitions)
        self.due |= other.due
        self.timeouts |= other.timeouts
        self.roles |= other.roles
        self.deployment |= other.deployment
        self.posted |= other.posted
        self.settled |= other.settled
        self.set_aside |= other.set_aside
        self.flow |= other.flow
        self.unnamed |= other.unnamed

    def encode(self, largest: int) -> bytes:
        """Return JSON of at most `largest` bytes. While it is too long, its longest part becomes
        "unnamed".
        """
        short = msgspec.structs.replace(
            self,
            due=_soonest(self.due),
            timeouts=_soonest_timeouts(self.timeouts),
            set_aside=_soonest_set_aside(self.set_aside),
        )
        encoded = msgspec.json.encode(short)
        while len(encoded) > largest:
            longest = max(PARTS, key=lambda part: len(msgspec.json.encode(getattr(short, part))))
            short = _without(short, longest)
            encoded = msgspec.json.encode(short)
        return encoded


PARTS = {
    "runs": Kind.RUNS,
    "at_rest": Kind.RUNS,
    "events": Kind.EVENTS,
    "due": Kind.OUTBOX,
    "timeouts": Kind.TIMEOUTS,
    "roles": Kind.ROLES,
    "posted": Kind.MESSAGES,
    "settled": Kind.MESSAGES,
    "set_aside": Kind.SET_ASIDE,
    "flow": Kind.FLOW,
}


def _without(notification: Notification, part: str) -> Notification:
    kind = PARTS[part]
    emptied = {name: type(getattr(notification, name))() for name in PARTS if PARTS[name] is kind}
    return msgspec.structs.replace(notification, unnamed=notification.unnamed | kind, **emptied)


def _soonest(due: set[int]) -> set[int]:
    """Keep only the first of the later due times: who looks then finds the next."""
    later = due - {AT_ONCE}
    return (due & {AT_ONCE}) | ({min(later)} if later else set())


def _soonest_timeouts(timeouts: set[tuple[str, int, int]]) -> set[tuple[str, int, int]]:
    soonest: dict[tuple[str, int], int] = {}
    for workflow, status, due in timeouts:
        soonest[workflow, status] = min(due, soonest.get((workflow, status), due))
    return {(workflow, status, due) for (workflow, status), due in soonest.items()}


def _soonest_set_aside(entries: set[tuple[str, int]]) -> set[tuple[str, int]]:
    soonest: dict[str, int] = {}
    for group, due in entries:
        soonest[group] = min(due, soonest.get(group, due))
    return set(soonest.items())
