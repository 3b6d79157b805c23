"""The effects of an attempt: results of `once`, which are stored at once, and children, which start
with the transition.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from workflow_ray.coding import chains_of, encoded_children
from workflow_ray.definition import CancelledEvent, ChildStart, Fatal, Workflow
from workflow_ray.definition.callables import is_async
from workflow_ray.definition.labels import Labels
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.entry import link_to
from workflow_ray.engine.runs import first_write
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    MAX_DATA,
    Fence,
    Kept,
    NewChild,
    OnceResult,
    RunId,
    VisitOver,
    new_run_id,
    new_write_id,
)
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.batched_reads import BatchedReads
from workflow_ray.roles.calling import value_of
from workflow_ray.roles.once_codecs import codec_of
from workflow_ray.roles.overtaking import Overtaking
from workflow_ray.roles.result import Result
from workflow_ray.roles.results import Results
from workflow_ray.roles.threads import Threads


class InvalidUse(InvalidInput, Fatal):
    """The function asks for something that another attempt would ask for again."""


class EffectsOfRole:
    """What the effects of all attempts of a role share.

    Args:
        fence: The role's.
        workflow: The workflow of the runs.
        records: The store.
        results: Commits the results.
        threads: Run plain functions.
        overtaking: Tells functions that their runs have moved on.
        clock: Measures waits.
        spawn: Starts a task whose errors end the role.
    """

    def __init__(
        self,
        fence: Fence,
        workflow: Workflow[Any, Any],
        records: RecordStore,
        results: Results,
        threads: Threads,
        overtaking: Overtaking,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.fence = fence
        self.workflow = workflow
        self.results = results
        self.threads = threads
        self.overtaking = overtaking
        self.loop = asyncio.get_running_loop()
        self.stored = BatchedReads[RunId, dict[str, bytes]](self._read, spawn)
        self._records = records
        self.clock = clock

    def is_awaitable_here(self) -> bool:
        """Whether the caller is in the event loop of the role, and not in a thread."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:  # the thread of a plain function has no loop
            return False

    async def _read(self, run_ids: Sequence[RunId]) -> Mapping[RunId, dict[str, bytes]]:
        """Read the results that are stored for the current visits of runs, by name."""
        found: dict[RunId, dict[str, bytes]] = {run_id: {} for run_id in run_ids}
        results = await persist(lambda: self._records.results(run_ids), self.clock, self.fence.role)
        for result in results:
            found[result.run_id][result.name] = result.result
        return found


class AttemptEffects:
    """The effects of one attempt."""

    # what most attempts don't use is made at its first use
    started: list[NewChild] | None = None  # the children, in order
    _names: frozenset[str] = frozenset()  # of results
    _cancelled: CancelledEvent | None = None
    labelled: Labels | None = None  # the labels, if the function has asked for them
    _is_dropped = False
    _coded: tuple[Workflow[Any, Any], ...] = ()  # of children, those that have codecs

    def __init__(self, attempt: Attempt, role: EffectsOfRole) -> None:
        self._attempt = attempt
        self._role = role

    def start(self, child: ChildStart) -> None:
        """Start the child with the write that the attempt leads to."""
        self._check_running("run.start")
        write = first_write(
            child.workflow,
            child.foreign_id,
            child.encoded,
            child.start_at,
            run_id=new_run_id(),
            write_id=new_write_id(),
            by=self._role.fence.role,
            labels=child.labels,
        )
        if hooks := asked_states(child.workflow.checked()):
            write = announcing(hooks, None, write)
        link = link_to(self._role.workflow, child.workflow.name, cascades=child.cascades)
        if self.started is None:
            self.started = []
        self.started.append(NewChild(write=write, link=link, joins=child.joins))
        if child.workflow.codecs:
            self._coded = (*self._coded, child.workflow)

    async def encode_children(self) -> None:
        """Encode the data of the children whose workflows have codecs. The role's own store knows
        those workflows only that its definition names.
        """
        if not self._coded or self.started is None:
            return
        role, children = self._role, self.started
        chains = chains_of(self._coded[0], self._coded[1:])
        assert chains is not None, "these workflows have codecs"
        self.started = await persist(
            lambda: encoded_children(chains, children), role.clock, role.fence.role
        )

    def labels(self, stored: Mapping[str, str]) -> Labels:
        if self.labelled is None:
            self.labelled = Labels(stored)
        return self.labelled

    def cancelled(self) -> CancelledEvent:
        if self._cancelled is None:
            event = self._role.overtaking.event_of(self._attempt)
            if self._cancelled is None:  # else `drop` has set it meanwhile
                self._cancelled = event
        return self._cancelled

    def drop(self) -> None:
        """Tell the function that its result will be dropped, though the attempt goes on with
        another call, which gets an event of its own.
        """
        self._is_dropped = True
        self._cancelled = self._attempt.cancelled or CancelledEvent()
        self._cancelled.set()
        self._attempt.cancelled = None

    def once(self, name: str, call: Callable[[], object]) -> Coroutine[Any, Any, object]:
        """Return the result that is stored under the name, or make the call and store its result.

        If the run has moved on, the attempt is cancelled, and its result is dropped.
        """
        what = f"run.once({name!r})"
        if not self._role.is_awaitable_here():
            raise InvalidUse(what, "await it in an async function; a plain one runs in a thread")
        return self._once(what, name, call)

    async def _once(self, what: str, name: str, call: Callable[[], object]) -> object:
        self._check_running(what)
        if name in self._names:
            raise InvalidUse(what, "this attempt has used the name already; give each call its own")
        self._names |= {name}
        codec = codec_of(call)
        record = self._attempt.record
        if record.has_results:
            stored = await self._role.stored.get(record.run_id)
            if name in stored:
                return codec.decode(stored[name])
        value = await value_of(
            call,
            is_async=is_async(call),
            threads=self._role.threads,
            run_id=self._attempt.record.run_id,
        )
        try:
            result = codec.encode(value)
        except InvalidInput as error:
            raise InvalidUse(what, f"its result can't be stored: {error}") from None
        if len(result) > MAX_DATA:
            raise InvalidUse(
                what, f"its result is {len(result)} bytes long; {MAX_DATA} are allowed"
            )
        kept = await self._keep(name, result)
        return value if kept == result else codec.decode(kept)

    async def _keep(self, name: str, result: bytes) -> bytes:
        """Store the result, and return the one that is stored."""
        record = self._attempt.record
        once = OnceResult(run_id=record.run_id, visit=record.visit, name=name, result=result)
        answer = await self._role.results.commit(Result(once=once))
        if isinstance(answer, Kept):
            return answer.result
        assert isinstance(answer, VisitOver), "a result of once has no other answer"
        self._attempt.is_overtaken = True
        raise asyncio.CancelledError("the run has moved on")

    def _check_running(self, what: str) -> None:
        if self._is_dropped or self._attempt.phase is not Phase.RUNNING:
            raise InvalidInput(what, "the function has ended; call it before the function returns")
