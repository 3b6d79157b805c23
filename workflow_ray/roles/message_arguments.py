"""The arguments of a message's function: the run, and what the message is about."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from pydantic import ValidationError

from workflow_ray.definition import (
    Callback,
    ChildFunction,
    Children,
    ChildrenFunction,
    Effects,
    Fatal,
    Run,
)
from workflow_ray.engine.error_text import flaws
from workflow_ray.engine.runs import run_of, view_of
from workflow_ray.errors import EncodedData
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    NO_VERSION,
    ChildEnd,
    ChildrenEnd,
    Message,
    Record,
    RoleName,
    RunId,
    RunQuery,
    RunState,
)
from workflow_ray.records.encoded import why_unreadable
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.batched_reads import BatchedReads

FINISHED = tuple(run_state for run_state in RunState if run_state.finished)


class MessageArguments:
    """Makes the arguments of messages' functions for one role.

    Args:
        role: The role's name.
        workflow: The workflow of the runs.
        records: The store.
        clock: Measures waits.
        spawn: Starts a task whose errors end the role.
    """

    def __init__(
        self,
        role: RoleName,
        workflow: Any,
        records: RecordStore,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._role = role
        self._workflow = workflow
        self._records = records
        self._clock = clock
        self._children = BatchedReads[RunId, Record | None](self._read, spawn)

    async def of(
        self, attempt: Attempt, message: Message, effects: Effects
    ) -> tuple[Run[Any, Any], *tuple[object, ...]]:
        """Make the arguments. The run's `attempt` counts those of the message.

        Raises:
            Fatal: The message does not fit the code.
            UnreadableData, UnknownStatus: The code can't read the run.
        """
        record = msgspec.structs.replace(attempt.record, attempt=message.attempt)
        run = run_of(self._workflow, record, effects)
        match attempt.function:
            case Callback() as callback:
                return run, _read_message(callback, message)
            case ChildFunction() as function:
                return run, await self._child(function, message)
            case ChildrenFunction() as function:
                return run, self._all_children(function, message)
            case _:
                return (run,)

    async def _child(self, function: ChildFunction[Any], message: Message) -> Run[Any, Any]:
        end = msgspec.json.decode(message.payload, type=ChildEnd)
        record = await self._children.get(end.run_id)
        if record is None:
            raise Fatal(f"the child {end.run_id} does not exist any more")
        return view_of(function.child, record)

    async def _read(self, run_ids: Sequence[RunId]) -> Mapping[RunId, Record | None]:
        # where writes commit, so that the end of the child is seen
        records = await persist(
            lambda: self._records.lookup(run_ids, fresh=True), self._clock, self._role
        )
        return dict(zip(run_ids, records, strict=False))

    def _all_children(
        self, function: ChildrenFunction[Any], message: Message
    ) -> Children[Any, Any]:
        end = msgspec.json.decode(message.payload, type=ChildrenEnd)
        runs = partial(self._each, function, message.run_id, end)
        return Children.stored(end.started, end.completed, end.cancelled, runs)

    async def _each(
        self, function: ChildrenFunction[Any], parent: RunId, end: ChildrenEnd
    ) -> AsyncIterator[Run[Any, Any]]:
        """Read the children page by page."""
        query = RunQuery(
            workflow=function.child.name, run_states=FINISHED, parent=parent, since=end.since
        )
        page = await self._page(query) if end.since > NO_VERSION else []
        while page:
            for record in page:
                yield view_of(function.child, record)
            page = await self._page(msgspec.structs.replace(query, after=page[-1].run_id))

    async def _page(self, query: RunQuery) -> list[Record]:
        return await persist(lambda: self._records.runs(query), self._clock, self._role)


def _read_message(callback: Callback[Any], message: Message) -> object:
    """Read the payload. Another attempt would not read it either, unless a codec gets its key."""
    try:
        return callback.read(message.payload)
    except ValidationError as error:
        if why := why_unreadable(message.payload):
            raise EncodedData(message.key.workflow, message.run_id, why) from None
        raise Fatal(f"the message doesn't fit {callback.name}: {flaws(error)}") from None
