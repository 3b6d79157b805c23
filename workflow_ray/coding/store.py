"""A store around another one: it encodes what is written, and decodes what is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains, Code, chains_of
from workflow_ray.coding.comparing import compared
from workflow_ray.coding.forgetting import forget_erased
from workflow_ray.coding.incoming import Incoming, first_of
from workflow_ray.coding.outgoing import Outgoing
from workflow_ray.coding.targets import Targets
from workflow_ray.definition import Workflow
from workflow_ray.ports import STORE_PORTS, RecordStore
from workflow_ray.ports.methods import methods_of, properties_of
from workflow_ray.records import (
    Arrivals,
    GroupResult,
    HistoryEntry,
    Message,
    MessageQuery,
    NewChild,
    OnceResult,
    Record,
    RunId,
    RunQuery,
    SetAside,
    SetAsideQuery,
    Topic,
    Version,
    WriteGroup,
    check_group,
)

R = TypeVar("R", bound=RecordStore)
T = TypeVar("T")

AnyWorkflow = Workflow[Any, Any]


def coded(store: R, own: AnyWorkflow, others: Iterable[AnyWorkflow] = ()) -> R:
    """Return the store for the code of a workflow, which sees and hands in decoded data.

    It has the methods of the store that is given. Data of workflows that are not named stays as it
    is. Without a codec the store itself is returned.

    Args:
        store: The store.
        own: The workflow whose runs are written.
        others: Other workflows whose runs are read, or started as children.
    """
    chains = chains_of(own, others)
    if chains is None or (isinstance(store, CodingStore) and store.has(chains)):
        return store
    kind = CodingStreamStore if hasattr(store, "receive") else CodingStore
    return cast(R, kind(store, chains))


def undecoded(store: R) -> R:
    """Return the store for code that needs no data of the runs that it lists, so that nothing is
    decoded and no object is read for it. What it writes is encoded all the same.
    """
    if not isinstance(store, CodingStore):
        return store
    bare = copy(store)
    bare.list_encoded()
    return cast(R, bare)


class CodingStore:
    """See `coded`. Methods that carry no data of users are those of the store itself."""

    def __init__(self, store: RecordStore, chains: Chains) -> None:
        self._store: Any = store
        self._chains = chains
        self._targets = Targets(store, chains)
        for name in (*methods_of(*STORE_PORTS), *properties_of(*STORE_PORTS), "timeouts_apart"):
            if not hasattr(type(self), name) and hasattr(store, name):
                setattr(self, name, getattr(store, name))

    def has(self, chains: Chains) -> bool:
        """Whether it has all these chains already."""
        own = self._chains
        return own.own == chains.own and chains.by_name.keys() <= own.by_name.keys()

    def list_encoded(self) -> None:
        """Answer `runs` with the records as they are stored, from now on."""
        vars(self)["runs"] = self._store.runs

    # --- writes ---------------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """See RecordStore."""
        chains = self._chains
        for group in groups:
            check_group(group)  # the sizes are those of the decoded data, too
        addressed = await self._targets.find(groups)
        written = await encoded(chains, addressed.groups)
        stored = await self._store.store(written)
        answers = await decoded(chains, groups, addressed.completed(stored))
        await forget_erased(self._store, chains, addressed.groups, stored)
        return answers

    # --- reads ----------------------------------------------------------------------------------

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        """See RecordStore."""
        found: list[Record | None] = await self._store.lookup(run_ids, fresh=fresh)
        return await self._decoded(first_of(found, _data_of), lambda on: on.known)

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        """See RecordStore."""
        found: list[Record | None] = await self._store.latest(workflow, foreign_ids)
        return await self._decoded(found, lambda on: on.known)

    async def runs(self, query: RunQuery) -> list[Record]:
        """See RecordStore."""
        found: list[Record] = await self._store.runs(query)
        return await self._decoded(first_of(found, _data_of), lambda on: on.record)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        """See RecordStore."""
        found: list[Record] = await self._store.watch(seen, wait=wait, at_rest=at_rest)
        return await self._decoded(first_of(found, _data_of), lambda on: on.record)

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        """See RecordStore."""
        found: list[HistoryEntry] = await self._store.history(run_id, after=after, limit=limit)
        return await self._decoded(first_of(found, lambda each: each.data), lambda on: on.entry)

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        """See RecordStore."""
        found: list[Message] = await self._store.messages(query, settled=settled, wait=wait)
        some = first_of(found, lambda each: each.payload)
        return await self._decoded(some, lambda on: on.message)

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        """See RecordStore."""
        found: list[OnceResult] = await self._store.results(run_ids)
        return await self._decoded(found, lambda on: on.result)

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        """See RecordStore."""
        found: list[SetAside] = await self._store.set_aside(query, wait=wait)
        return await self._decoded(
            first_of(found, lambda each: each.event), lambda on: on.set_aside
        )

    async def _decoded(
        self, items: Sequence[T], method: Callable[[Incoming], Callable[[T], T]]
    ) -> list[T]:
        def walk(code: Code) -> list[T]:
            decode = method(Incoming(self._chains, code))
            return [decode(item) for item in items]

        return await self._chains.decoded(walk)


class CodingStreamStore(CodingStore):
    """A CodingStore whose events come with the records."""

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        """See EventStreamer. Records are left out after the one whose data exceeds BATCH_DATA in
        all: they are looked up.
        """
        arrivals: Arrivals = await self._store.receive(
            topic, offsets, reader=reader, limit=limit, wait=wait
        )
        if not any(item.record is not None for item in arrivals.events):
            return arrivals
        within = first_of(arrivals.events, lambda item: _data_of(item.record))
        rest = [replace(item, record=None) for item in arrivals.events[len(within) :]]
        events = await self._decoded(within, lambda on: on.received)
        return replace(arrivals, events=(*events, *rest))


async def encoded(chains: Chains, groups: Sequence[WriteGroup]) -> list[WriteGroup]:
    """Encode groups of writes."""

    def walk(code: Code) -> list[WriteGroup]:
        outgoing = Outgoing(chains, code)
        return [outgoing.group(group) for group in groups]

    return await chains.encoded(walk)


async def encoded_children(chains: Chains, children: Sequence[NewChild]) -> list[NewChild]:
    """Encode the first writes of children."""

    def walk(code: Code) -> list[NewChild]:
        outgoing = Outgoing(chains, code)
        return [replace(child, write=outgoing.write(child.write)) for child in children]

    return await chains.encoded(walk)


async def decoded(
    chains: Chains, groups: Sequence[WriteGroup], answers: Sequence[GroupResult]
) -> list[GroupResult]:
    """Decode the answers to groups of writes."""

    def walk(code: Code) -> list[GroupResult]:
        incoming = Incoming(chains, code)
        return [
            compared(chains, group, incoming.committed(answer))
            for group, answer in zip(groups, answers, strict=True)
        ]

    return await chains.decoded(walk)


def _data_of(record: Record | None) -> bytes | None:
    return None if record is None else record.data
