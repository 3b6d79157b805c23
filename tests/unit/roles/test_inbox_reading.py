"""How a consumer finds the next messages of runs."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records, SystemClock, records_adapter
from workflow_ray.records import BATCH_DATA, Message, MessageQuery, RoleName, RunId
from workflow_ray.roles.inboxes import Inboxes
from workflow_ray.testing.conformance.posts import callback, post, resting_run
from workflow_ray.testing.conformance.runs import CREATED, SHIPPED, stored

MANY = 300


class Counting:
    """Counts the messages that are read."""

    def __init__(self, store: Records) -> None:
        self._store = store
        self.read = 0

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        found = await self._store.messages(query, settled=settled, wait=wait)
        self.read += len(found)
        return found


@pytest.fixture
async def store() -> AsyncIterator[Records]:
    url = f"memory://{uuid4()}"
    records_adapter(url).create(url)
    async with records_adapter(url).open_records(url, clock=SystemClock(), exclusive=True) as store:
        yield store


async def test_the_next_message_of_many_is_read_without_the_others(store: Records) -> None:
    many, one = await resting_run(store), await resting_run(store)
    await post(store, *(callback(many, f"m-{at:03}") for at in range(MANY)))
    await post(store, callback(one, "last"))
    counting = Counting(store)
    inboxes = Inboxes(RoleName("consumer"), counting, SystemClock())  # type: ignore[arg-type]
    records = [await stored(store, run.run_id) for run in (many, one)]
    found = (await inboxes.next_of(records)).found
    assert {run_id: message.key.id for run_id, message in found.items()} == {
        many.run_id: "m-000",
        one.run_id: "last",
    }
    assert counting.read < MANY / 10


async def test_a_message_behind_many_that_are_kept_for_later_is_found(store: Records) -> None:
    run = await resting_run(store)
    later = [
        callback(run, f"m-{at:03}", statuses=(SHIPPED,), kept_at=(CREATED,)) for at in range(MANY)
    ]
    await post(store, *later)
    await post(store, callback(run, "now"))
    inboxes = Inboxes(RoleName("consumer"), store, SystemClock())
    found = (await inboxes.next_of([await stored(store, run.run_id)])).found
    assert [message.key.id for message in found.values()] == ["now"]


@pytest.mark.parametrize("kept", [0, 3])
async def test_large_messages_of_many_runs_are_read_a_batch_at_a_time(
    store: Records, kept: int
) -> None:
    """Those that are kept for later hide the others."""
    large = b"x" * (BATCH_DATA // 3)
    runs = [await resting_run(store) for _ in range(20)]
    for at, run in enumerate(runs):
        for number in range(kept):
            later = callback(run, f"k-{at}-{number}", statuses=(SHIPPED,), kept_at=(CREATED,))
            await post(store, replace(later, payload=large))
        await post(store, replace(callback(run, f"m-{at}"), payload=large))
    without = await resting_run(store)
    inboxes = Inboxes(RoleName("consumer"), store, SystemClock())
    left = [await stored(store, run.run_id) for run in [*reversed(runs), without]]
    found = dict[RunId, str]()
    while left:
        answer = await inboxes.next_of(left)
        assert left[0].run_id not in answer.unread
        assert sum(len(each.payload) for each in answer.found.values()) <= 3 * BATCH_DATA
        found |= {run_id: message.key.id for run_id, message in answer.found.items()}
        left = [record for record in left if record.run_id in answer.unread]
    assert found == {run.run_id: f"m-{at}" for at, run in enumerate(runs)}
