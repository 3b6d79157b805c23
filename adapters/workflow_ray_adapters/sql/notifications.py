"""What commits have changed, for those who wait for it: in this process, and in others where the database can pass it on."""

from collections.abc import Iterable

import msgspec

from workflow_ray.records import RoleName, RunId, Topic, Version


class Notification(msgspec.Struct, omit_defaults=True):
    """It decides only who looks again, never what anybody finds."""

    runs: dict[RunId, Version] = {}  # their new versions
    at_rest: set[RunId] = set()  # those of the runs that now take no step by themselves
    events: dict[Topic, set[int]] = {}  # the partitions that have new events
    due: set[int] = set()  # microseconds: when new entries of the outbox get due, AT_ONCE among them
    timeouts: set[tuple[str, int, int]] = set()  # new timeouts: workflow, status, and in microseconds when they get due
    roles: set[RoleName] = set()  # have a new epoch
    deployment: bool = False  # there is a new one

    def __bool__(self) -> bool:
        return bool(self.runs or self.events or self.due or self.timeouts or self.roles or self.deployment)

    def add_events(self, appended: Iterable[tuple[Topic, int]]) -> None:
        """Note that each of these topics and partitions has new events."""
        for topic, partition in appended:
            self.events.setdefault(topic, set()).add(partition)

    def add(self, other: "Notification") -> None:
        """Tell what the other one tells, too."""
        self.runs |= other.runs
        self.at_rest |= other.at_rest
        for topic, partitions in other.events.items():
            self.events.setdefault(topic, set()).update(partitions)
        self.due |= other.due
        self.timeouts |= other.timeouts
        self.roles |= other.roles
        self.deployment |= other.deployment
