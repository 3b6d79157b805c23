"""The contents of a store, and how a group of writes changes them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from msgspec.structs import replace

from workflow_ray.records import (
    Committed,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    Fenced,
    GroupResult,
    Record,
    RoleName,
    RunId,
    Timeout,
    TimeoutKey,
    Topic,
    Waiting,
    WaitingQuery,
    Write,
    WriteGroup,
    WriteResult,
    status_topic,
)
from workflow_ray_adapters.memory.deployments import Deployments
from workflow_ray_adapters.memory.families import Families
from workflow_ray_adapters.memory.messaging import Messaging
from workflow_ray_adapters.memory.notifications import Notifications
from workflow_ray_adapters.memory.outbox import Outbox
from workflow_ray_adapters.memory.positions import Positions
from workflow_ray_adapters.memory.removals import Removals
from workflow_ray_adapters.memory.roles import Roles
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.set_asides import SetAsides
from workflow_ray_adapters.memory.stream import Stream
from workflow_ray_adapters.memory.timeouts import Timeouts
from workflow_ray_adapters.memory.transitions import Transitions

OUTBOX = RoleName("")
"""The key that every publisher waits for.

Each also waits for its own role's name, which is notified when its fence is old.
"""


class Contents:
    """The contents that every opening of the store in this process shares.

    Each opening has its own clock. No method awaits, so each is atomic in its event loop.
    """

    def __init__(self, where: str = "memory:") -> None:
        self.where = where
        self.store_id = str(uuid4())
        self.served = False  # it is open exclusively
        self.runs = Runs()
        self.outbox = Outbox()
        self.stream = Stream(where)
        self.timeouts = Timeouts()
        self.roles = Roles()
        self.deployments = Deployments(self.store_id)
        self.positions = Positions()
        self.messaging = Messaging(self.runs, self.outbox)
        self.families = Families()
        self.transitions = Transitions(self.runs, self.outbox, self.messaging, self.families)
        self.removals = Removals(
            self.runs,
            self.messaging.inboxes,
            self.families,
            self.transitions.results,
            self.timeouts,
        )
        self.set_asides = SetAsides()
        self.writes = Notifications[RunId]()
        self.arrivals = Notifications[Topic]()
        self.publishing = Notifications[RoleName]()
        self.timing = Notifications[tuple[str, int]]()  # keys: a workflow and its status
        self.setting_aside = Notifications[str]()  # keys: groups
        self.deploying = Notifications[str]()  # key: the store id

    def commit_all(self, groups: Sequence[WriteGroup], now: datetime) -> list[GroupResult]:
        """Commit groups, and then carry out their removals."""
        return [
            self._remove(group, answer)
            if group.removals and isinstance(answer, Committed)
            else answer
            for group, answer in [(group, self._commit(group, now)) for group in groups]
        ]

    def _remove(self, group: WriteGroup, answer: Committed) -> Committed:
        removed = tuple(self.removals.carry_out(removal) for removal in group.removals)
        return replace(answer, removed=removed)

    def _commit(self, group: WriteGroup, now: datetime) -> GroupResult:
        if group.fence and (current := self.roles.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        self.positions.merge(group.positions)
        queued = self.outbox.added
        results = tuple(
            self._make(write, now, apart=group.timeouts_apart) for write in group.writes
        )
        posts = tuple(self.messaging.post(message, now) for message in group.messages)
        for failure in group.failures:
            self.messaging.fail(failure, now)
        once = tuple(self.transitions.once(result) for result in group.results)
        for workflow in group.expires:
            self.messaging.expire(workflow, now)
        self._set_aside(group, now)
        for event in group.events:
            self.outbox.add(event)
        for later in group.postponed:
            self.outbox.add(later.event, now + timedelta(seconds=later.delay))
        if self.outbox.added != queued:
            self.publishing.notify([OUTBOX])
        return Committed(results, posts, once)

    def _make(self, write: Write, now: datetime, *, apart: bool) -> WriteResult:
        result, made = self.transitions.make(write, now)
        self.writes.notify([each.run_id for each in made])
        timeouts = [timeout for each in made for timeout in _timeouts(each, now)]
        if apart:
            self.outbox.add_timeouts(timeouts)
        else:
            self.create(timeouts)
        return result

    def _set_aside(self, group: WriteGroup, now: datetime) -> None:
        for entry in group.set_aside:
            self.set_asides.put(entry, now)
        self.set_asides.remove(group.taken_back)
        self.setting_aside.notify(
            {entry.key.group for entry in group.set_aside} | {key.group for key in group.taken_back}
        )

    def create(self, timeouts: Sequence[Timeout]) -> None:
        self.timeouts.add(timeouts)
        self.timing.notify({(timeout.workflow, timeout.status) for timeout in timeouts})

    def waiting(self, query: WaitingQuery, now: datetime) -> Waiting:
        records = self.runs.awaiting(query)
        since = now - timedelta(seconds=query.quiet)
        found = [
            record
            for record in records
            if record.updated_at <= since and not self.outbox.wakes(record.run_id)
        ]
        return Waiting(
            events=tuple(_awaited_event(record) for record in found),
            after=records[-1].run_id if len(records) == query.limit else None,
        )

    def append(self, events: Sequence[Event]) -> None:
        self.stream.append(events)
        self.arrivals.notify({event.topic for event in events})

    def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        changed = self.deployments.deploy(expected, workflows)
        self.publishing.notify(self.roles.fence_off(changed))
        self.deploying.notify([self.store_id])
        return self.deployments.current

    def release(self, fence: Fence) -> None:
        self.roles.release(fence)
        self.positions.release(fence)


def _timeouts(write: Write, now: datetime) -> Iterator[Timeout]:
    """Make the timeouts that the write asks for."""
    for new in write.timeouts:
        yield Timeout(
            key=TimeoutKey(write.run_id, write.visit, new.name),
            workflow=new.workflow,
            status=write.status,
            partition=new.partition,
            due_at=new.at or now + timedelta(seconds=new.after or 0.0),
        )


def _awaited_event(record: Record) -> Event:
    """Make the event that should have woken the run."""
    return Event(
        run_id=record.run_id,
        topic=status_topic(record.workflow, record.status),
        partition=record.partition,
        version=record.awaited,
        status=record.status,
    )
