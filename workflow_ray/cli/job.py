"""Runs a job: turns the lines of an input into runs of a workflow, and waits for their ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from workflow_ray.cli.lines import Line, Parser, Refused, read_lines
from workflow_ray.cli.progress import Show
from workflow_ray.cli.resting import Resting
from workflow_ray.cli.tally import Ends, Timing
from workflow_ray.client import Client, Trigger, TriggerOutcome
from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.delays import due_times
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordStore, SystemClock, persist
from workflow_ray.records import NO_VERSION, Record, RunId, RunState, Version

T = TypeVar("T")

WINDOW = 500
"""Runs that one call to the store reads."""
PAUSE = 0.1
"""Seconds between two queries; more where a query takes long, so that it costs little beside the
work.
"""

PATIENCE = 120.0
"""Seconds without an answer of the store after which the job gives up. It can be started again."""


class Job:
    """Turns one input into runs and follows them.

    It keeps nothing but the records: the same job, started again, continues where this one ended.

    Args:
        workflow: The workflow of the runs.
        client: Triggers them.
        records: Where they are.
        on_refused: Is called with each line that can't be triggered; the others go through.
        say: Is called with what runs wait for that do not go on by themselves.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Status],
        client: Client[Any, Any],
        records: RecordStore,
        on_refused: Callable[[Refused], None],
        say: Callable[[str], None],
    ) -> None:
        self._workflow = workflow
        self._client = client
        self._records = records
        self._on_refused = on_refused
        self._say = say
        self._parser = Parser(workflow)
        self._open: dict[RunId, Version] = {}  # runs that haven't ended -> the version last seen
        self._started: set[RunId] = set()  # runs in _open that this job started
        self._fed = False
        self.ends = Ends({status.value: status.name for status in workflow.statuses})
        self.timing = Timing()
        self.started = 0
        self.known = 0
        self.refused: list[Refused] = []

    async def run(self, descriptor: int, show: Show) -> None:
        """Trigger the input's runs and wait until each has ended: completed, cancelled or paused.

        Args:
            descriptor: The input.
            show: Is called with how far the job is.

        Raises:
            InvalidInput: The input can't be read any further.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._feed(descriptor))
                tasks.create_task(self._follow(show))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # the other task was cancelled for it

    async def _feed(self, descriptor: int) -> None:
        async for texts in read_lines(descriptor):
            for batch in _batches(self._accepted(texts)):
                await self._trigger(batch)
        self.known += self._parser.repeats
        self._fed = True

    def _accepted(self, texts: Iterable[bytes]) -> Iterator[Line]:
        for answer in self._parser.parse(texts):
            if isinstance(answer, Refused):
                self._refuse(answer)
            else:
                yield answer

    def _refuse(self, line: Refused) -> None:
        self.refused.append(line)
        self._on_refused(line)

    async def _trigger(self, lines: Sequence[Line]) -> None:
        """Trigger the lines. Those that the client refuses are found by halves."""
        try:
            await self._trigger_all(lines)
        except InvalidInput as error:  # of one line, as from a function of flow control
            if len(lines) == 1:
                (line,) = lines
                self._refuse(Refused(line.number, str(error).removeprefix("triggers[0]: ")))
                return
            half = len(lines) // 2
            await self._trigger(lines[:half])
            await self._trigger(lines[half:])

    async def _trigger_all(self, lines: Sequence[Line]) -> None:
        """Trigger the lines by one call. Raises InvalidInput: nothing was written."""
        triggers: list[Trigger[Any, Any]] = [
            Trigger(
                line.foreign_id,
                line.data,
                idempotency_key=line.foreign_id,
                labels=line.labels,
            )
            for line in lines
        ]
        answers = await _persist(lambda: self._client.trigger_many(triggers))
        for line, (handle, outcome) in zip(lines, answers, strict=True):
            match outcome:
                case TriggerOutcome.STARTED:
                    self.started += 1
                    self._started.add(handle.run_id)
                case TriggerOutcome.KNOWN:
                    self.known += 1
                case TriggerOutcome.ACTIVE:
                    taken = (
                        f"foreign_id: {line.foreign_id!r} has an unfinished run that didn't come"
                        f" from a line: {handle.run_id}"
                    )
                    self._refuse(Refused(line.number, taken))
                    continue
                case TriggerOutcome.KEY_REUSED:
                    reused = (
                        f"foreign_id: {line.foreign_id!r} is the idempotency key of run"
                        f" {handle.run_id}, which was triggered with other data, or not by a line"
                    )
                    self._refuse(Refused(line.number, reused))
                    continue
            self._open[handle.run_id] = NO_VERSION

    async def _follow(self, show: Show) -> None:
        now = asyncio.get_running_loop().time
        resting = Resting(self._workflow, self._say, self._due_times, now())
        while True:
            began = now()
            for window in _windows(self._open):
                for record in await _persist(partial(self._records.watch, window, wait=0)):
                    self._look_at(record)
                    resting.note(record, began)
            await resting.tell(began)
            show(self.ends.total(), self.ends.total() + len(self._open))
            if self._fed and not self._open:
                return
            await asyncio.sleep(max(PAUSE, 4 * (now() - began)))

    async def _due_times(self, steps: Mapping[RunId, Version]) -> Mapping[RunId, datetime]:
        """Read when these steps are due, if they are delayed."""
        ask = partial(self._records.activity, limit=len(steps), steps=steps)
        return due_times(await _persist(ask))

    def _look_at(self, record: Record) -> None:
        if not (record.run_state.finished or record.run_state is RunState.PAUSED):
            self._open[record.run_id] = record.version
            return
        del self._open[record.run_id]
        self.ends.add(record)
        if record.run_id in self._started:
            self._started.remove(record.run_id)
            self.timing.add(record)


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    return await persist(call, SystemClock(), "job", patience=PATIENCE)


def _windows(runs: dict[RunId, Version]) -> Iterator[dict[RunId, Version]]:
    standing = iter(list(runs.items()))
    while window := dict(islice(standing, WINDOW)):
        yield window


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, WINDOW)):
        yield batch
