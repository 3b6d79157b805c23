"""The intake of a consumer: it receives events, and decides by the records which ones matter."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile

from workflow_ray.engine.events import is_ahead, is_current
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import Arrivals, Received, Record, RoleName, RunId, Topic
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.results import Results

log = logging.getLogger(__name__)


class Intake:
    """Reads a role's partitions of one topic, and makes attempts from the events."""

    def __init__(
        self,
        role: RoleName,
        topic: Topic,
        partitions: Mapping[int, Partition],
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        results: Results,
    ) -> None:
        self._role = role
        self._topic = topic
        self._partitions = partitions
        self._records = records
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

    async def judge(self, received: Sequence[Received]) -> tuple[list[Attempt], list[Received]]:
        """Take events in hand, in order, and make attempts of those that ask for a step.

        Returns:
            The attempts, and the events that are left for the next call, because the store has not
            returned their records yet.
        """
        answered = await self._with_records(received)
        now = self._clock.monotonic()
        attempts = [
            attempt for item, record in answered if (attempt := self._judged(item, record, now))
        ]
        if len(attempts) < len(answered):
            self._results.touch()
        return attempts, list(received[len(answered) :])

    async def _with_records(
        self, received: Sequence[Received]
    ) -> list[tuple[Received, Record | None]]:
        """Return a prefix of the events, each with a record that is new enough."""
        if not any(is_ahead(item.event, item.record) for item in received):
            # this is usual if the store also holds the stream
            return [(item, item.record) for item in received]
        found = await self.look_up(
            [item.event.run_id for item in received if item.record is None], fresh=False
        )
        known = [
            (item, item.record or found[item.event.run_id]) for item in _answered(received, found)
        ]
        ahead = [item.event.run_id for item, record in known if is_ahead(item.event, record)]
        # the record was read from a snapshot older than the event
        newest = await self.look_up(ahead, fresh=True)
        answered: list[tuple[Received, Record | None]] = []
        for item, record in known:
            run_id = item.event.run_id
            if is_ahead(item.event, record):
                if run_id not in newest:
                    break
                record = newest[run_id]
            answered.append((item, record))
        return answered

    async def look_up(
        self, run_ids: Sequence[RunId], *, fresh: bool = False
    ) -> dict[RunId, Record | None]:
        """Read the records of these runs. The store may return only those of the first ones."""
        ids = list(dict.fromkeys(run_ids))
        if not ids:
            return {}
        records = await persist(
            lambda: self._records.lookup(ids, fresh=fresh), self._clock, self._role
        )
        return dict(zip(ids, records, strict=False))

    def _judged(self, item: Received, record: Record | None, now: float) -> Attempt | None:
        partition = self._partitions[item.event.partition]
        if item.offset < partition.progress.next:
            # it is below the offset asked for: the log is new, as the next call shows
            return None
        if record is None or not is_current(item.event, record):
            self._report_if_ahead(item, record)
            partition.pass_over(item.offset)
            return None
        running = self._results.attempts.get(record)
        if running is not None and running.phase is Phase.COMMITTING:
            # this position is committed after the attempt's result, or never
            partition.pass_over(item.offset)
            return None
        partition.progress.begin(item.offset)
        if running is not None:
            running.repeated(item)
            return None
        attempt = Attempt(item, record, partition, now)
        self._results.attempts.add(attempt)
        return attempt

    def _report_if_ahead(self, item: Received, record: Record | None) -> None:
        """Check that the store has the version of each event."""
        if is_ahead(item.event, record):
            where = {"run_id": item.event.run_id, "version": item.event.version, "role": self._role}
            log.error(
                "the store has no such version of the run any more: was it restored from a backup?",
                extra=where,
            )


def _answered(received: Sequence[Received], found: Collection[RunId]) -> Iterator[Received]:
    """The events before the first one whose record is missing and was not looked up."""
    return takewhile(lambda item: item.record is not None or item.event.run_id in found, received)
