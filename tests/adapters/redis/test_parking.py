"""What flow control costs, and what it leaves."""

import pytest

from workflow_ray.records import ParkedQuery, Write
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.flow import admitted, new_parked, parked_at, parked_now
from workflow_ray.testing.conformance.posts import end
from workflow_ray.testing.conformance.runs import CREATED, step, store_all
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver, Served, client_of

READS = ("cmdstat_zrange", "cmdstat_zrangebylex", "cmdstat_zcard", "cmdstat_scard")
QUERY = ParkedQuery(workflow="orders", status=CREATED, keys=3, per_key=5)


@pytest.mark.parametrize("keys", [1, 100])
async def test_the_commands_of_a_page_do_not_grow_with_the_parked_runs(
    own: Served, clock: FakeClock, keys: int
) -> None:
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            calls = list[int]()
            for many in (keys, 3000):
                await store_all(store, *(new_parked(f"k-{at % keys:03}") for at in range(many)))
                page = await store.parked(QUERY)
                before = commands(client)
                assert len((await store.parked(QUERY)).keys) == min(3, keys)
                calls.append(commands(client) - before)
            assert [len(key.parked) for key in page.keys] == [5] * len(page.keys)
            assert calls[0] == calls[1]


def commands(client: Driver) -> int:
    """Return how many reads of sets the server has run. The listener runs none."""
    stats = client.info("commandstats")
    return sum(stats.get(name, {"calls": 0})["calls"] for name in READS)


async def test_a_status_that_all_runs_have_left_keeps_the_number_of_its_changes_only(
    store: RedisStore, behind: Driver
) -> None:
    parked = [new_parked(f"key-{at % 3}", at) for at in range(9)]
    await store_all(store, *parked)
    going_on: list[Write] = [admitted(run) for run in parked]
    await store_all(store, *going_on)
    assert [key for key, _, _ in await parked_now(store)] == ["key-0", "key-1", "key-2"]
    await store_all(store, *(end(run) for run in going_on))
    for names in ("parked:*", "slots:*", "parking_keys:*"):
        assert list(behind.scan_iter(match=f"{BASE}:{names}")) == []
    assert list(behind.hgetall(f"{BASE}:parking_changes")) == [f"{CREATED}:orders"]


async def test_a_run_that_parks_again_in_one_call_is_at_its_last_place(store: RedisStore) -> None:
    first = new_parked("a", 1)
    second = parked_at(step(first, status=CREATED), "a", 2)
    third = parked_at(step(second, status=CREATED), "b", 2)
    await store_all(store, first, second, third)
    assert await parked_now(store) == [("b", 0, [first.run_id])]
    back = parked_at(step(third, status=CREATED), "b", -7)
    await store_all(store, back)
    (key,) = (await store.parked(QUERY)).keys
    assert [run.priority for run in key.parked] == [-7]
