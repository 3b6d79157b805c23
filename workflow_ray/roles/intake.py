"""The intake of a consumer: it receives events, and decides by the records which ones matter."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from workflow_ray.engine.events import has_messages, is_ahead, is_cascade, is_current
from workflow_ray.engine.transition import AnyFunction
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import (
    Arrivals,
    Event,
    Message,
    Received,
    Record,
    RoleName,
    RunId,
    Topic,
)
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.event_records import EventRecords, Written, is_overwritten
from workflow_ray.roles.functions import Functions
from workflow_ray.roles.inboxes import NOTHING, Inboxes, NextMessages
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.results import Results

log = logging.getLogger(__name__)


class Intake:
    """Reads a role's partitions of one topic, and makes attempts from the events."""

    def __init__(
        self,
        role: RoleName,
        topic: Topic,
        functions: Functions,
        partitions: Mapping[int, Partition],
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        results: Results,
    ) -> None:
        self._role = role
        self._topic = topic
        self._functions = functions
        self._step = functions.step
        self.records = EventRecords(role, records, clock)
        self._inboxes = Inboxes(role, records, clock)
        self._partitions = partitions
        self._events = events
        self._clock = clock
        self._results = results

    async def receive(
        self, partitions: Collection[Partition], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        """Receive the next events of the partitions.

        A partition that has lost the tail of its log begins again, without the others.
        """
        offsets = {partition.number: partition.progress.next for partition in partitions}
        arrivals = await persist(
            lambda: self._events.receive(
                self._topic, offsets, reader=reader, limit=limit, wait=wait
            ),
            self._clock,
            self._role,
        )
        for number, end in arrivals.lost.items():
            text = (
                "%s: partition %d of %s ends at %d, below position %d: it lost events, or was made"
                " again. Reading it from its beginning."
            )
            log.warning(
                text,
                self._role,
                number,
                self._topic,
                end,
                offsets[number],
                extra={"role": self._role},
            )
            self._partitions[number].restart()
        if arrivals.lost:
            await self._results.flush()
        return arrivals

    async def judge(
        self, received: Sequence[Received], written: Written
    ) -> tuple[list[Attempt], list[Received]]:
        """Take events in hand, in order, and make attempts of those for which there is work.

        A message goes before the step. An event for a run that has an attempt in hand waits for it.

        Args:
            received: The events.
            written: What the role has written since it began to receive them, also from now on.

        Returns:
            The attempts, and the events that are left for the next call, because their records or
            their messages were not read yet.
        """
        answered = await self.records.of(received, written)
        messages = await self._messages_of(
            [record for _, record in answered if record is not None and record.messages]
        )
        if messages.unread or written:
            answered = list(
                takewhile(
                    lambda pair: (
                        pair[0].event.run_id not in messages.unread
                        and not is_overwritten(pair[1], written)
                    ),
                    answered,
                )
            )
        now = self._clock.monotonic()
        attempts = [
            attempt
            for item, record in answered
            if (attempt := self._judged(item, record, messages.found, now))
        ]
        if len(attempts) < len(answered):
            self._results.touch()
        return attempts, list(received[len(answered) :])

    async def _messages_of(self, records: Sequence[Record]) -> NextMessages:
        """Read the next message of each run that is at this role's status. Those of a run that the
        role writes meanwhile are left unread.
        """
        asked = [
            record
            for record in records
            if has_messages(record) and record.status == self._functions.status.value
        ]
        if not asked:
            return NOTHING
        with self._results.own_writes.noted() as written:
            messages = await self._inboxes.next_of(asked)
        return replace(messages, unread=messages.unread | written.keys()) if written else messages

    def _judged(
        self, item: Received, record: Record | None, messages: Mapping[RunId, Message], now: float
    ) -> Attempt | None:
        partition = self._partitions[item.event.partition]
        if item.offset < partition.progress.next:
            # it is below the offset asked for: the log is new, as the next call shows
            return None
        message = messages.get(item.event.run_id) if messages else None
        function: AnyFunction | None = None  # as for a cascade
        if message is not None:
            function = self._functions.of(message)
        elif self._step is not None and is_current(item.event, record):
            function = self._step
        elif not is_cascade(item.event, record):
            self._report_if_ahead(item, record)
            partition.pass_over(item.offset)
            return None
        assert record is not None, "there is work for runs that exist"
        running = self._results.attempts.of(record)
        if running is not None and (message is None or not running.is_postponed):
            self._let_wait(item, record, running)
            return None
        partition.progress.begin(item.offset)
        attempt = Attempt(item, record, partition, now, function, message)
        self._results.attempts.add(attempt)
        return attempt

    def _has_work(self, event: Event, record: Record) -> bool:
        """Whether the event asks for a step, which the code has, or for a cascade."""
        if is_current(event, record):
            return self._step is not None
        return is_cascade(event, record)

    def _let_wait(self, item: Received, record: Record, running: Attempt) -> None:
        """Let an event wait for the attempt that its run has in hand.

        An event that only says that the run has a message need not be kept. If the attempt makes a
        version, the store sends another event for the messages that still wait, and otherwise the
        run is looked at again. But it lets the position move on if the attempt's own event was sent
        again, because that holds the position back for long.
        """
        partition = self._partitions[item.event.partition]
        if not self._has_work(item.event, record):
            running.has_passed_message = True
            if running.is_sent_again and running.phase in (Phase.WAITING, Phase.RUNNING):
                partition.progress.begin(item.offset)
                running.repeated(item)
                return
            partition.pass_over(item.offset)
            if running.phase is Phase.LOOKING:  # it may have missed the message
                running.look_again()
        elif running.message is not None:
            # the step is still to run, and this event has asked for it
            partition.progress.begin(item.offset)
            running.repeated(item)
            running.look_again()
        elif running.phase is Phase.COMMITTING:
            # this position is committed after the attempt's result, or never
            partition.pass_over(item.offset)
        else:
            partition.progress.begin(item.offset)
            running.repeated(item)

    async def judge_again(self, settled: Sequence[Attempt]) -> list[Attempt]:
        """Look again at the runs of attempts whose results are committed.

        Returns:
            The attempts that follow, each with the event of the one that it replaces.
        """
        attempts: list[Attempt] = []
        while settled:
            for old in settled:
                old.is_looked_at = False
            with self._results.own_writes.noted() as written:
                found = await self.records.look_up(
                    [old.record.run_id for old in settled], fresh=True
                )
                messages = await self._messages_of(
                    [record for record in found.values() if record is not None and record.messages]
                )
            read = found.keys() - messages.unread - written.keys()
            now = self._clock.monotonic()
            looked_up = [
                old for old in settled if old.record.run_id in read and not old.is_looked_at
            ]
            for old in looked_up:
                run_id = old.record.run_id
                if attempt := self._judged_again(old, found[run_id], messages.found, now):
                    attempts.append(attempt)
            settled = [old for old in settled if old not in looked_up]
        self._results.touch()
        return attempts

    def _judged_again(
        self, old: Attempt, record: Record | None, messages: Mapping[RunId, Message], now: float
    ) -> Attempt | None:
        self._results.attempts.remove(old)
        message = messages.get(old.record.run_id)
        item = Received(event=old.event, offset=old.offset)
        if record is None or (message is None and not self._has_work(old.event, record)):
            old.finish()
            return None
        running = self._results.attempts.of(record)
        if running is None or (message is not None and running.is_postponed):
            if message is not None:
                function = self._functions.of(message)
            else:
                function = None if is_cascade(old.event, record) else self._step
            attempt = Attempt(item, record, old.partition, now, function, message)
            attempt.progress = old.progress
            self._results.attempts.add(attempt)
            return attempt
        if running.message is not None and self._has_work(old.event, record):
            running.look_again_by(old)
        else:
            old.finish()
        return None

    def _report_if_ahead(self, item: Received, record: Record | None) -> None:
        """Check that the store has the version of each event."""
        if is_ahead(item.event, record):
            where = {"run_id": item.event.run_id, "version": item.event.version, "role": self._role}
            log.error(
                "the store has no such version of the run any more: was it restored from a backup?",
                extra=where,
            )
