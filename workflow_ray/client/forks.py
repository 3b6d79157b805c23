"""Forks of runs: new runs that begin as another run was at one of its versions."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.inputs import checked_by, checked_data, checked_key, checked_reason
from workflow_ray.client.keys import find_reused
from workflow_ray.client.past_runs import record_at
from workflow_ray.client.triggers import TriggerOutcome, outcome_of, under_way
from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.arguments import checked_count
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.fork import fork_of
from workflow_ray.engine.runs import decoded, status_of
from workflow_ray.errors import KeyReused, RunActive
from workflow_ray.records import Record, RunId, Version, Write, WriteGroup

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@dataclass(frozen=True, kw_only=True)
class Fork:
    """What a caller asks for. See `Handle.fork`."""

    version: int
    foreign_id: str | None
    idempotency_key: str | None
    reason: str | None
    by: str


@dataclass(frozen=True, slots=True)
class Forked:
    """The run that a fork led to."""

    run_id: RunId
    outcome: TriggerOutcome  # STARTED, or KNOWN
    started: Version | None  # its first version, if it takes steps from there


class Forks(Generic[D, S]):
    """Makes forks of one run."""

    def __init__(self, connection: Connection[D, S], run_id: RunId) -> None:
        self._connection = connection
        self._workflow: Workflow[D, S] = connection.workflow
        self._run_id = run_id

    async def make(self, asked: Fork) -> Forked:
        """Start the new run. Raises what `Handle.fork` raises."""
        version = Version(checked_count("version", asked.version))
        checked_by(asked.by)
        if asked.reason is not None:
            checked_reason(asked.reason)
        if asked.foreign_id is not None:
            checked_key("foreign_id", asked.foreign_id)
        if asked.idempotency_key is not None:
            checked_key("idempotency_key", asked.idempotency_key)
        past = await record_at(self._connection, self._run_id, version)
        data = decoded(self._workflow, past.run_id, past.data, past.data_version)
        return await self._start(self._write(past, data, asked), data)

    def _write(self, past: Record, data: D, asked: Fork) -> Write:
        foreign_id = past.foreign_id if asked.foreign_id is None else asked.foreign_id
        what = f"fork:{past.run_id}:{past.version}"
        write = fork_of(
            self._workflow,
            past,
            foreign_id=foreign_id,
            status=status_of(self._workflow, past.run_id, past.status),
            data=checked_data(self._workflow, data),
            by=asked.by,
            reason=asked.reason,
            idempotency_key=self._connection.writer.key(asked.idempotency_key, foreign_id, what),
        )
        return announcing(asked_states(self._workflow.checked()), None, write)

    async def _start(self, write: Write, data: D) -> Forked:
        connection, name = self._connection, self._workflow.name
        assert write.new is not None, "a fork is a new run"
        answer = await connection.writer.commit(WriteGroup(writes=(write,)))
        known = {write.run_id: data}
        reused = await find_reused(
            self._workflow, connection.records, known, [write], answer.results
        )
        differing = reused.get(write.run_id, ())
        run_id, outcome = outcome_of(answer.results[0], is_reused=bool(differing))
        match outcome:
            case TriggerOutcome.KEY_REUSED:
                raise KeyReused(name, write.new.idempotency_key or "", run_id, differing)
            case TriggerOutcome.ACTIVE:
                raise RunActive(name, write.new.foreign_id, run_id)
            case TriggerOutcome.STARTED | TriggerOutcome.KNOWN:
                return Forked(run_id, outcome, under_way(write, outcome))
