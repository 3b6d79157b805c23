"""`toystream:///FOLDER`: one file per topic and partition, and one line per event.

The offset of an event is the number of its line.
"""

import asyncio
import fcntl
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import chain, zip_longest
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote
from uuid import uuid4

import msgspec

from workflow_ray.errors import StoreMissing, TopicMismatch
from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Event, Received, Topic

log = logging.getLogger(__name__)

POLL = 0.5
"""Seconds after which an event of another process is noticed."""


class Log(msgspec.Struct):
    """The content of the folder's `log.json`."""

    id: str
    partitions: dict[Topic, int] = {}


class ToyStreamAdapter:
    """An EventsAdapter."""

    def canonical(self, url: str) -> str:
        return f"toystream://{_path(url)}"

    def create(self, url: str) -> str:
        folder = _path(url)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if not (folder / "log.json").exists():
                (folder / "log.json").write_bytes(msgspec.json.encode(Log(str(uuid4()))))
            return _log(folder).id

    @asynccontextmanager
    async def open_events(self, url: str, *, clock: Clock) -> AsyncGenerator["ToyStream"]:
        folder = _path(url)
        if not (folder / "log.json").exists():
            raise StoreMissing(str(folder), "nothing was deployed there yet.")
        yield ToyStream(folder, clock)


class ToyStream:
    """An EventStreamer that keeps its events for good."""

    _listeners: ClassVar[dict[Path, set[asyncio.Event]]] = defaultdict(set)

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._turn = 0
        self.stream_id = _log(folder).id
        # the partitions where a reader was ahead
        self._reported: set[tuple[Topic, int, int]] = set()

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        with _locked(self._folder):
            known = _log(self._folder)
            for topic, partitions in topics.items():
                if (found := known.partitions.setdefault(topic, partitions)) != partitions:
                    raise TopicMismatch(
                        str(self._folder),
                        f"topic {topic!r} has {found} partitions, not {partitions}.",
                    )
            (self._folder / "log.json").write_bytes(msgspec.json.encode(known))

    async def send(self, events: Sequence[Event]) -> None:
        lines: dict[Path, bytes] = defaultdict(bytes)
        for event in events:
            lines[self._path(event.topic, event.partition)] += msgspec.json.encode(event) + b"\n"
        with _locked(self._folder):
            for path, added in lines.items():
                _append(path, added)
        for arrived in self._listeners[self._folder]:
            arrived.set()

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        deadline = self._clock.monotonic() + wait
        while True:
            arrived = asyncio.Event()
            self._listeners[self._folder].add(arrived)
            try:
                found = self._read(topic, offsets, limit)
                left = deadline - self._clock.monotonic()
                if found.events or found.lost or left <= 0:
                    return found
                await self._clock.wait(arrived, min(left, POLL))
            finally:
                self._listeners[self._folder].discard(arrived)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return sum(
            len(self._lines(topic, partition)[offset:]) for partition, offset in offsets.items()
        )

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return {partition: len(self._lines(topic, partition)) for partition in partitions}

    def _read(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Arrivals:
        """Read one event of each partition in turn, so that the backlog of one delays no other.

        Each call begins with another partition.
        """
        lost = {
            partition: end
            for partition, offset in offsets.items()
            if (end := len(self._lines(topic, partition))) < offset
        }
        self._report({(topic, partition, offsets[partition]) for partition in lost})
        read = {partition: offset for partition, offset in offsets.items() if partition not in lost}
        waiting = [self._from(topic, partition, offset) for partition, offset in read.items()]
        self._turn = (self._turn + 1) % max(1, len(waiting))
        rounds = zip_longest(*waiting[self._turn :], *waiting[: self._turn])
        events = [item for item in chain.from_iterable(rounds) if item is not None][:limit]
        return Arrivals(
            events=tuple(events),
            read=read | {item.event.partition: item.offset + 1 for item in events},
            lost=lost,
        )

    def _report(self, lost: set[tuple[Topic, int, int]]) -> None:
        for topic, partition, offset in lost - self._reported:
            log.error(
                "%s: partition %d of %s ends below %d", self._folder, partition, topic, offset
            )
        self._reported |= lost

    def _from(self, topic: Topic, partition: int, offset: int) -> list[Received]:
        lines = self._lines(topic, partition)
        return [
            Received(event=msgspec.json.decode(line, type=Event), offset=at)
            for at, line in enumerate(lines[offset:], offset)
        ]

    def _lines(self, topic: Topic, partition: int) -> list[bytes]:
        path = self._path(topic, partition)
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def _path(self, topic: Topic, partition: int) -> Path:
        return self._folder / f"{quote(topic, safe='')}-{partition}.events"


def _append(path: Path, lines: bytes) -> None:
    """Append after the last whole line: a process that died while it wrote has sent nothing."""
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(lines)


@contextmanager
def _locked(folder: Path) -> Generator[None, None, None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _log(folder: Path) -> Log:
    return msgspec.json.decode((folder / "log.json").read_bytes(), type=Log)


def _path(url: str) -> Path:
    return Path(url.partition("://")[2]).resolve()
