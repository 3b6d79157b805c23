"""A store and the memory adapter, the reference, hold the same after the same random groups."""

import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from typing import Any

from msgspec.structs import replace

from tests.adapters.random_groups import LABELS, WORKFLOWS, RandomGroups
from workflow_ray.ports import Records
from workflow_ray.records import (
    Committed,
    Fence,
    GroupResult,
    MessageKey,
    MessageQuery,
    Parked,
    ParkedQuery,
    RunId,
    RunQuery,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import Conformance
from workflow_ray.testing.conformance.posts import EVERYWHERE, publish_all
from workflow_ray.testing.conformance.runs import acquire
from workflow_ray_adapters.memory import MemoryStore

STEPS = 30
STATUSES = list(product(WORKFLOWS, EVERYWHERE))


class ReferenceCases(Conformance):
    """For a `store` that is a Records and new, whose clock has not advanced."""

    async def test_random_groups_give_what_they_give_in_the_reference(
        self, store: Records, clock: FakeClock, rng: random.Random
    ) -> None:
        clocks = [clock, FakeClock()]
        stores = [store, reference := MemoryStore(clocks[1])]
        publishers = [await acquire(each) for each in stores]
        groups = RandomGroups(rng)
        for _ in range(STEPS):
            found = await reference.lookup(groups.run_ids)
            records = [record for record in found if record]
            waiting = await reference.messages(MessageQuery(run_ids=tuple(groups.run_ids)))
            call = [groups.group(records, waiting) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
            call[-1] = groups.removing(call[-1], records)
            later = timedelta(seconds=rng.choice([0, 0, 1, 10, 30]))
            for each in clocks:
                await each.advance(later)
            answers = [list(map(comparable, await each.store(call))) for each in stores]
            assert answers[0] == answers[1], (call, *answers)
            here, there = [
                await state_of(each, publisher, groups.run_ids, groups.keys)
                for each, publisher in zip(stores, publishers, strict=True)
            ]
            differing = {
                part: (here[part], there[part]) for part in here if here[part] != there[part]
            }
            assert not differing, (differing, call)


def comparable(answer: GroupResult) -> GroupResult:
    """Leave out how far a removal has looked at keys, which not every store tells."""
    return replace(answer, keys_left=()) if isinstance(answer, Committed) else answer


async def state_of(
    store: Records, publisher: Fence, run_ids: Sequence[RunId], keys: Sequence[MessageKey]
) -> dict[str, Any]:
    """Read what the store holds of the runs, and take the events that are due out of it."""
    by_run = {
        run_id: (
            await store.history(run_id),
            await store.messages(MessageQuery(run_ids=(run_id,))),
            await store.messages(MessageQuery(run_ids=(run_id,), failed=True)),
            [await relatives(store, run_id, workflow) for workflow in WORKFLOWS],
        )
        for run_id in run_ids
    }
    posted = await store.messages(MessageQuery(keys=tuple(set(keys))))
    results = await store.results(run_ids)
    return {
        "records": await store.lookup(run_ids, fresh=True),
        "runs": by_run,
        "messages": sorted(posted, key=lambda message: message.key),
        "results": sorted(results, key=lambda result: (result.run_id, result.name)),
        "parked": [await parked(store, workflow, status) for workflow, status in STATUSES],
        "labelled": [
            await store.runs(RunQuery(workflow=workflow, labels=labels))
            for workflow in WORKFLOWS
            for labels in LABELS
        ],
        "counts": [await store.counts(workflow) for workflow in WORKFLOWS],
        "delayed": {str((item.event, item.due_at)) for item in (await store.activity()).delayed},
        "events": {str(item) for item in await publish_all(store, publisher)},
    }


async def parked(store: Records, workflow: str, status: int) -> Parked:
    """Return what flow control orders at the status, without what differs between stores."""
    found = await store.parked(ParkedQuery(workflow=workflow, status=status))
    return replace(found, change=0)


async def relatives(store: Records, run_id: RunId, workflow: str) -> list[list[RunId]]:
    """Return the run's children, those that are cancelled with it, and its parents."""
    queries = [
        RunQuery(workflow=workflow, parent=run_id),
        RunQuery(workflow=workflow, parent=run_id, cascading=True),
        RunQuery(workflow=workflow, child=run_id),
    ]
    return [[record.run_id for record in await store.runs(query)] for query in queries]
