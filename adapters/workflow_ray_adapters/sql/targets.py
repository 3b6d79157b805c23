"""What a transaction concerns beside the runs that it writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from workflow_ray.records import MessageKey, RunId, Write, WriteGroup
from workflow_ray_adapters.sql.inboxes import find_expired
from workflow_ray_adapters.sql.session import Session

ForeignKey: TypeAlias = tuple[str, str]
"""A workflow and a foreign id."""


@dataclass
class Targets:
    """What is to be found, and what is to be locked."""

    run_ids: set[RunId] = field(default_factory=set[RunId])  # to be locked
    addressed: set[ForeignKey] = field(default_factory=set[ForeignKey])  # by messages
    joined: set[ForeignKey] = field(default_factory=set[ForeignKey])  # by children
    started: set[ForeignKey] = field(default_factory=set[ForeignKey])  # by children
    expired: dict[MessageKey, RunId] = field(default_factory=dict[MessageKey, RunId])
    removes: bool = False  # the groups have removals

    @property
    def wanted(self) -> set[ForeignKey]:
        """Return the foreign ids whose unfinished runs are to be locked."""
        return self.addressed | self.joined

    @property
    def taken(self) -> set[ForeignKey]:
        """Return the foreign ids whose unfinished runs are to be found."""
        return self.addressed | self.joined | self.started


def find_targets(session: Session, groups: Sequence[WriteGroup]) -> Targets | None:
    """Return what the groups concern. This takes no statement, unless messages have expired.

    None: they concern nothing else, as most do.
    """
    targets: Targets | None = None
    for group in groups:
        if (
            group.messages
            or group.failures
            or group.results
            or group.expires
            or group.set_aside
            or group.taken_back
            or group.removals
        ):
            targets = targets or Targets()
            _add_group(targets, group)
        for write in group.writes:
            if write.takes or write.children or write.gatherings:
                targets = targets or Targets()
                _add_children(targets, write)
    if targets is None:
        return None
    workflows = {workflow for group in groups for workflow in group.expires}
    if workflows:
        targets.expired = find_expired(session, workflows)
        targets.run_ids |= set(targets.expired.values())
    return targets


def _add_group(targets: Targets, group: WriteGroup) -> None:
    for message in group.messages:
        if message.run_id is not None:
            targets.run_ids.add(message.run_id)
        if message.foreign_id is not None:
            targets.addressed.add((message.key.workflow, message.foreign_id))
    targets.run_ids |= {failure.run_id for failure in group.failures}
    targets.run_ids |= {result.run_id for result in group.results}
    for removal in group.removals:
        targets.run_ids |= {*removal.runs, *removal.histories}
        targets.removes = True


def _add_children(targets: Targets, write: Write) -> None:
    for child in write.children:
        if (new := child.write.new) is not None:
            keys = targets.joined if child.joins else targets.started
            keys.add((new.workflow, new.foreign_id))
