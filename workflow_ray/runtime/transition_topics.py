"""The topics that tell of a workflow's transitions, and how far a reader is in them."""

from collections.abc import Collection, Mapping

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    DeployedWorkflow,
    Position,
    Topic,
    WriteGroup,
    consumer_group,
    hooks_group,
    reader_partition,
    readers_group,
    run_state_topic,
    status_topic,
)

SLOTS = 4096
"""The most partitions of a workflow. A partition of the source is slot * SLOTS + partition."""
FORGOTTEN = 2**62
"""The offset of a reader for which no event is kept."""


def topics_of(workflow: DeployedWorkflow) -> dict[int, Topic]:
    """Return the topics that tell of transitions, by slot: 0, or the number of the status."""
    topics = {
        number: status_topic(workflow.name, number)
        for number in workflow.statuses.values()
        if consumer_group(workflow.name, number) in workflow.groups and number < 2**31 // SLOTS
    }
    if hooks_group(workflow.name) in workflow.groups:
        topics[0] = run_state_topic(workflow.name)
    return topics


class ReaderPositions:
    """The positions of one reader. The publisher removes no event at or beyond them."""

    def __init__(
        self, reader: str, topics: Mapping[int, Topic], log: str, records: RecordStore
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._log = log
        self._records = records
        self._incarnations: dict[int, int] = {}  # by partition of the source

    async def find(self, numbers: Collection[int]) -> None:
        """Find the incarnations of the positions. One that was forgotten begins again."""
        for slot, partitions in by_slot(numbers).items():
            rows = {
                row.partition: row
                for row in await self._records.positions(readers_group(self._topics[slot]))
            }
            for partition in partitions:
                row = rows.get(reader_partition(self._reader, partition))
                if row is not None:
                    is_forgotten = row.offset >= FORGOTTEN
                    number = slot * SLOTS + partition
                    self._incarnations[number] = row.incarnation + is_forgotten

    def begin_again(self, number: int) -> None:
        """Note that the log of a partition is a new one."""
        self._incarnations[number] = self._incarnations.get(number, 0) + 1

    async def report(self, offsets: Mapping[int, int]) -> None:
        """Commit the offsets below which events may be removed. They never go back."""
        positions = [
            Position(
                group=readers_group(self._topics[number // SLOTS]),
                partition=reader_partition(self._reader, number % SLOTS),
                offset=offset,
                log=self._log,
                incarnation=self._incarnations.get(number, 0),
            )
            for number, offset in offsets.items()
            if number // SLOTS in self._topics
        ]
        await self._records.store([WriteGroup(positions=tuple(positions))])


def by_slot(partitions: Collection[int]) -> dict[int, list[int]]:
    """The partitions of each topic."""
    found: dict[int, list[int]] = {}
    for partition in partitions:
        found.setdefault(partition // SLOTS, []).append(partition % SLOTS)
    return found
