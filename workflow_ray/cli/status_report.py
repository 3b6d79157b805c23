"""Reads the status of a deployment. How much it reads does not depend on the number of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from workflow_ray.cli.role_states import deployed_roles, status_of_group
from workflow_ray.cli.status_views import FailureView, LogsView, Report, RoleView, StatusView
from workflow_ray.cli.views import Names
from workflow_ray.client.controls import look_up
from workflow_ray.engine.prospects import is_paused_by_error
from workflow_ray.ports import EventStreamer, RecordStore
from workflow_ray.records import (
    Activity,
    Cause,
    Deployment,
    Record,
    RunQuery,
    RunState,
    Topic,
    consumer_group,
    status_topic,
)
from workflow_ray.records.encoded import readable
from workflow_ray.runtime.process_status import RolePhase
from workflow_ray.runtime.urls import Places

DELAYED = 500
"""How many delayed events are read, of all workflows. Those that are due first are read."""
PAUSED = 50
"""How many paused runs of each status are read to find the last failure: the newest ones."""


@dataclass(frozen=True)
class Running:
    """What runs on a store, as it was found beside the store."""

    on: str | None  # local, ray, or elsewhere; None: nothing runs
    held: Sequence[RoleView]
    logs: LogsView


@dataclass
class _Retries:
    """The runs at one status whose step is retried later, or was held back until later."""

    next_retry_at: datetime | None = None
    runs: list[Record] = field(default_factory=list[Record])
    held_back: list[Record] = field(default_factory=list[Record])


class StatusReader:
    """Reads the report of one store.

    Args:
        store: The records.
        events: The stream that the deployment uses; None: it is not known here.
        deployment: As the store has it.
        running: What runs on it.
    """

    def __init__(
        self,
        store: RecordStore,
        events: EventStreamer | None,
        deployment: Deployment,
        running: Running,
    ) -> None:
        self._store = store
        self._events = events
        self._deployment = deployment
        self._running = running
        self._names = Names(deployment)
        self._roles = deployed_roles(deployment, self._names, running.held)

    async def read(self, places: Places, activity: Activity) -> Report:
        """Read the report.

        Args:
            places: Where everything is.
            activity: Of the store, with up to DELAYED events.
        """
        retries = await self._retries(activity)
        statuses = [
            view
            for workflow in self._deployment.workflows
            for view in await self._statuses(workflow.name, retries)
        ]
        is_cut = len(activity.delayed) == DELAYED
        return Report(
            records=places.records,
            events=places.events,
            state=self._state(),
            runs_on=self._running.on,
            at=activity.now,
            statuses=statuses,
            roles=self._roles,
            logs=self._running.logs,
            delayed_read_until=activity.delayed[-1].due_at if is_cut else None,
        )

    def _state(self) -> str:
        if self._running.on is not None:
            return "running"
        return "stopped" if self._deployment.workflows else "empty"

    async def _retries(self, activity: Activity) -> Mapping[Topic, _Retries]:
        """Find the runs that are retried later, by the topic of their status."""
        # Reversed, so that the first of several events of one run counts.
        due = {entry.event.run_id: entry for entry in reversed(activity.delayed) if entry.event}
        retries: dict[Topic, _Retries] = {}
        for record in await look_up(self._store, list(due)):
            if record.cause in (Cause.RETRY, Cause.PARKED):
                topic = status_topic(record.workflow, record.status)
                found = retries.setdefault(topic, _Retries())
                some = found.runs if record.cause is Cause.RETRY else found.held_back
                some.append(record)
                due_at = due[record.run_id].due_at
                if due_at is not None:
                    found.next_retry_at = min(due_at, found.next_retry_at or due_at)
        return retries

    async def _statuses(self, workflow: str, retries: Mapping[Topic, _Retries]) -> list[StatusView]:
        """Read the statuses that have a step, or runs that have not ended. Sorted by number."""
        backlog: dict[int, int] = {}
        paused: dict[int, int] = {}
        for count in await self._store.counts(workflow):
            if not count.run_state.finished:
                where = paused if count.run_state is RunState.PAUSED else backlog
                where[count.status] = where.get(count.status, 0) + count.runs
        groups = status_of_group(self._deployment, self._names)
        numbers = {
            number
            for number in self._names.statuses[workflow].values()
            if consumer_group(workflow, number) in groups
        }
        return [
            await self._status(
                workflow,
                number,
                backlog.get(number, 0),
                paused.get(number, 0),
                retries.get(status_topic(workflow, number), _Retries()),
            )
            for number in sorted(numbers | backlog.keys() | paused.keys())
        ]

    async def _status(
        self, workflow: str, number: int, backlog: int, paused: int, retries: _Retries
    ) -> StatusView:
        name = f"{workflow}.{self._names.status(workflow, number)}"
        roles = [role for role in self._roles if role.status == name]
        in_flight = [role.in_flight for role in roles if role.in_flight is not None]
        return StatusView(
            status=name,
            number=number,
            shards=sum(role.shard is not None for role in roles),
            running=sum(role.phase == RolePhase.RUNNING for role in roles),
            backlog=backlog,
            in_flight=sum(in_flight) if in_flight else None,
            lag=await self._lag(workflow, number) if roles else None,
            paused=paused,
            next_retry_at=retries.next_retry_at,
            held_back=len(retries.held_back),
            held_back_because=_newest_reason(retries.held_back),
            last_failure=await self._last_failure(workflow, number, paused, retries.runs),
        )

    async def _lag(self, workflow: str, number: int) -> int | None:
        """Count the events that the roles of the status have not finished.

        Returns None if they read another stream than the one that is known here.
        """
        if self._events is None:
            return None
        partitions = self._names.partitions[workflow]
        offsets = dict.fromkeys(range(partitions), 0)
        for position in await self._store.positions(consumer_group(workflow, number)):
            if position.log != self._events.stream_id:
                return None
            offsets[position.partition] = position.offset
        return await self._events.lag(status_topic(workflow, number), offsets)

    async def _last_failure(
        self, workflow: str, number: int, paused: int, retried: Sequence[Record]
    ) -> FailureView | None:
        """Find the last failure among the newest paused runs and the runs that are retried."""
        failed = list(retried)
        if paused:
            query = RunQuery(
                workflow=workflow,
                statuses=(number,),
                run_states=(RunState.PAUSED,),
                newest_first=True,
                limit=PAUSED,
            )
            failed += filter(is_paused_by_error, await self._store.runs(query))
        if not failed:
            return None
        last = max(failed, key=lambda record: record.updated_at)
        return FailureView(
            at=last.updated_at,
            reason=readable(last.reason or ""),
            run_id=last.run_id,
            foreign_id=last.foreign_id,
            is_final=is_paused_by_error(last),
        )


def _newest_reason(records: Sequence[Record]) -> str | None:
    """Return the reason of the record that was written last."""
    return max(records, key=lambda record: record.updated_at).reason if records else None
