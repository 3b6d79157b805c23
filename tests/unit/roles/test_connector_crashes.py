"""Connectors whose process dies: nothing is lost, and an event that kills its process does not
loop.
"""

import asyncio

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, Stage
from tests.unit.roles.carts import (
    Carts,
    breaking,
    connector,
    dead,
    entries,
    hanging,
    rows,
    succeeding,
)
from workflow_ray import Client
from workflow_ray.records import ConnectorEvent


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]


class Killer:
    """Kills the process whenever one of these events runs. Notes what ran when it died."""

    def __init__(self, *victims: str) -> None:
        self.victims = victims
        self.running = set[str]()
        self.died_with = list[set[str]]()

    async def __call__(self, client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        name = event.data.decode()
        self.running.add(name)
        try:
            if name in self.victims:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        finally:
            self.running.discard(name)

    @property
    def kills(self) -> bool:
        return bool(self.running.intersection(self.victims))


async def restarted(bench: Bench, killer: Killer, limit: int = 40) -> tuple[AtWork, int]:
    """Start the role again whenever it has died, until it lives. Returns how often it died."""
    deaths = 0
    while True:
        at_work = await connector(bench)
        for _ in range(80):
            if killer.kills:
                break
            await bench.pass_time(0.5)
        else:
            return at_work, deaths
        killer.died_with.append(set(killer.running))
        await at_work.kill()
        deaths += 1
        assert deaths < limit, "the killer's attempts are never used up"


async def test_events_in_hand_when_the_process_died_are_handled_again() -> None:
    carts = Carts()
    carts.work.append(hanging())
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put(*names(50))
        await bench.pass_time()
        await first.kill()
        carts.work.append(succeeding)
        await connector(bench)
        await bench.pass_time(1)
        assert sorted(carts.handled, key=int) == names(50)
        assert await entries(bench) == []


async def test_events_in_doubt_are_tried_in_groups_that_double() -> None:
    carts = Carts()
    carts.work.append(hanging())
    gates = list[asyncio.Event]()

    async def wait(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()

    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put(*names(20))
        await bench.pass_time()
        await first.kill()
        carts.work.append(wait)
        await connector(bench)
        sizes = list[int]()
        while gates:
            sizes.append(len(gates))
            for gate in gates:
                gate.set()
            gates.clear()
            await bench.pass_time()
        assert sizes == [1, 2, 4, 8, 5]


async def test_an_event_that_kills_its_process_uses_up_its_attempts_and_others_lose_none() -> None:
    carts = Carts(attempts=3)
    killer = Killer("7")
    carts.work.append(killer)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put(*names(20))
        _, deaths = await restarted(bench, killer)
        (letter,) = await entries(bench)
        assert (letter.attempt, letter.due_at, letter.key.offset) == (3, None, 7)
        assert "its process died" in letter.error or "the process died" in letter.error
        assert sorted(set(carts.handled), key=int) == [name for name in names(20) if name != "7"]
        # its own attempts, the crash that showed it, and that of its group
        assert deaths <= 3 + 3
        assert all(len(died) == 1 for died in killer.died_with[-3:])


async def test_an_event_that_kills_its_process_in_a_retry_uses_up_its_attempts() -> None:
    carts = Carts(attempts=3)
    carts.work.append(breaking("7"))
    killer = Killer("7")
    async with Bench(carts.workflow) as bench:
        at_work = await connector(bench)
        carts.put(*names(10))
        await bench.pass_time()
        carts.work.append(killer)
        while not killer.kills:
            await bench.pass_time(0.5)
        await at_work.kill()
        await restarted(bench, killer)
        (letter,) = await dead(bench)
        assert letter.attempt == 3


async def test_innocent_entries_that_were_tried_when_the_process_died_lose_no_attempt() -> None:
    carts = Carts(attempts=2)
    carts.work.append(breaking("0", "1", "2"))
    async with Bench(carts.workflow) as bench:
        at_work = await connector(bench)
        carts.put(*names(3))
        await bench.pass_time()
        carts.work.append(hanging())
        await bench.pass_time(3)
        assert len(carts.begun) == 6
        await at_work.kill()
        carts.work.append(succeeding)
        await connector(bench)
        await bench.pass_time(5)
        assert sorted(carts.handled) == names(3)
        assert await entries(bench) == []


async def test_a_holder_that_lost_its_role_alive_costs_no_attempt() -> None:
    carts = Carts(attempts=1)
    carts.work.append(hanging())
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put(*names(5))
        await bench.pass_time()
        await first.lose()
        carts.work.append(succeeding)
        await connector(bench)
        await bench.pass_time()
        assert sorted(carts.handled) == names(5)


async def test_no_event_is_given_to_the_handler_before_its_offset_is_reserved() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        begun = list[tuple[int, int]]()

        async def look(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
            (row,) = await rows(bench)
            begun.append((event.offset, row.begun))

        carts.work.append(look)
        await connector(bench)
        for _ in range(5):
            carts.put(*names(100))
            await bench.pass_time()
        assert len(begun) == 500
        assert all(offset < bound for offset, bound in begun)


async def test_attempts_are_given_back_by_an_orderly_stop_in_a_recovery() -> None:
    carts = Carts(attempts=3)
    killer = Killer("0")
    carts.work.append(killer)
    async with Bench(carts.workflow) as bench:
        at_work = await connector(bench)
        carts.put("0")
        await bench.pass_time()
        await at_work.kill()
        at_work = await connector(bench)  # a group of one
        await bench.pass_time()
        await at_work.kill()
        at_work = await connector(bench)  # alone, and counted
        while not (found := await entries(bench)) or not found[0].attempt:
            await bench.pass_time(0.5)
        await at_work.abandon()
        (entry,) = await entries(bench)
        assert entry.attempt == 0
