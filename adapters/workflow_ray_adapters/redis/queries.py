"""Reads of runs. Each call is one script, and so one snapshot."""

from collections.abc import Mapping, Sequence
from itertools import chain

from workflow_ray.records import (
    BATCH_DATA,
    Activity,
    HistoryEntry,
    OutboxEntry,
    Record,
    RoleHolder,
    RoleName,
    RunCount,
    RunId,
    RunQuery,
    RunState,
    Version,
    Waiting,
    WaitingQuery,
    asks_for,
)
from workflow_ray_adapters.redis.outbox_rows import to_entries
from workflow_ray_adapters.redis.rows import (
    DIGITS,
    found,
    microseconds,
    moment,
    numbers,
    text,
    to_history,
    to_records,
    to_waiting,
)
from workflow_ray_adapters.redis.scripts import (
    ACTIVITY,
    COUNTS,
    DELAYED,
    HISTORY,
    LATEST,
    LOOKUP,
    NEWER,
    RUNS,
    WAITING,
)
from workflow_ray_adapters.redis.server import Server, pairs

LOOKED_AT = 2_000
"""The most runs that one script examines, because it delays all other callers meanwhile."""
AT_REST = tuple(state for state in RunState if state.at_rest)


async def lookup(server: Server, run_ids: Sequence[RunId]) -> list[Record | None]:
    return to_records(await server.call(LOOKUP, BATCH_DATA, *run_ids))


async def latest(server: Server, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
    return to_records(await server.call(LATEST, workflow, *foreign_ids))


async def runs(server: Server, query: RunQuery) -> list[Record]:
    """Return a page: the result of the first script that finds a run."""
    filters = (
        "" if query.foreign_id is None else f"{query.foreign_id}\0",
        text(query.created_from) if query.created_from else "",
        text(query.created_before) if query.created_before else "",
        numbers(query.statuses),
        numbers(query.run_states),
        numbers(query.causes),
        text(query.updated_before) if query.updated_before else "",
        query.parent or "",
        str(query.since),
        "1" if query.cascading else "",
        query.child or "",
        *chain.from_iterable(query.labels.items()),
    )
    order, after = "1" if query.newest_first else "", query.after or ""
    while True:
        *answer, last = await server.call(
            RUNS, query.workflow, LOOKED_AT, query.limit, BATCH_DATA, order, after, *filters
        )
        if (page := found(answer)) or not last:
            return page
        after = last


async def counts(server: Server, workflow: str) -> list[RunCount]:
    stands = sorted(
        (int(status), int(run_state), many)
        for status, run_state, many in await server.call(COUNTS, workflow)
    )
    return [
        RunCount(status, RunState(run_state), many) for status, run_state, many in stands if many
    ]


async def history(server: Server, run_id: RunId, after: Version, limit: int) -> list[HistoryEntry]:
    return list(to_history(run_id, await server.call(HISTORY, run_id, after, limit, BATCH_DATA)))


async def newer(server: Server, seen: Mapping[RunId, Version], at_rest: bool) -> list[Record]:
    """Return the records above the versions seen, by run id; or only those at rest."""
    pairs = [part for run_id in sorted(seen) for part in (run_id, str(seen[run_id]))]
    return found(await server.call(NEWER, BATCH_DATA, numbers(AT_REST) if at_rest else "", *pairs))


async def waiting(server: Server, now: str, query: WaitingQuery) -> Waiting:
    limit = min(query.limit, LOOKED_AT)
    quiet, after = microseconds(query.quiet), query.after or ""
    *answer, last = await server.call(
        WAITING, now, query.workflow, query.partition, quiet, after, limit
    )
    return Waiting(events=to_waiting(query, answer), after=RunId(last.decode()) if last else None)


async def activity(
    server: Server, now: str, limit: int, steps: Mapping[RunId, Version] | None
) -> Activity:
    """Read the holders of roles, and the events that are not due yet; with `steps` only those that
    ask for these steps.
    """
    events = min(limit, LOOKED_AT) if steps is None else 0
    answer = await server.call(ACTIVITY, now, events)
    _, _, time, leases, epochs, is_served = answer
    holders = [
        RoleHolder(
            role=RoleName(role.decode()),
            epoch=int(epoch),
            worker=lease[DIGITS:].decode(),
            until=moment(lease[:DIGITS]),
        )
        for (role, lease), epoch in zip(pairs(leases), epochs, strict=True)
        if lease[:DIGITS] > time
    ]
    delayed = to_entries(answer)
    if steps:
        delayed = (await _asking(server, now, steps))[:limit]
    delayed.sort(key=lambda entry: (entry.due_at, entry.id))
    return Activity(
        now=moment(time),
        is_served=bool(is_served),
        holders=tuple(sorted(holders, key=lambda holder: holder.role)),
        delayed=tuple(delayed),
    )


async def _asking(server: Server, now: str, steps: Mapping[RunId, Version]) -> list[OutboxEntry]:
    """Find the delayed events that ask for steps, the next one first.

    Entries have no index by run here. So this looks through the delayed ones, but not if none of
    the runs has an event in the outbox, and no further than to the last event that it looks for.
    """
    found: list[OutboxEntry] = []
    rest, after = dict(steps), ""
    while rest:
        *answer, last = await server.call(DELAYED, now, after, LOOKED_AT, *rest)
        for entry in to_entries(answer):
            if entry.event is not None and asks_for(entry, rest):
                found.append(entry)
                del rest[entry.event.run_id]
        if not (after := last.decode()):
            break
    return found
