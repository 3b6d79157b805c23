"""Keeping the actors of the next shards on standby, without Ray."""

import asyncio

import msgspec
import pytest

from tests.ray.fakes import (
    ALL,
    CONSUMER,
    OF_TWO,
    PUBLISHER,
    SILENT,
    FakeActor,
    FakeRegistry,
    orders,
    phases,
    running,
    until,
)
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray.actors import STORE
from workflow_ray.runtime.ray.state import ActorReport, Phase
from workflow_ray.runtime.ray.supervision import Supervision


async def test_actors_on_standby_stay_while_their_group_drains_and_become_its_shards(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    assert phases(supervision) == {
        CONSUMER: "running",
        **dict.fromkeys(OF_TWO, "standby"),
        PUBLISHER: "running",
        STORE: "running",
    }
    prepared = [registry.holders[name] for name in OF_TWO]

    workflow = msgspec.structs.replace(orders(), draining=("orders-1-consumer",))
    registry.target = Deployment(store_id="s", version=2, workflows=(workflow,))
    await until(lambda: CONSUMER not in registry.holders)
    registry.target = Deployment(store_id="s", version=3, workflows=(orders(shards=2),))
    for actor in prepared:
        await actor.acquire()
    await running(supervision, *OF_TWO, PUBLISHER, STORE)
    assert [registry.holders[name] for name in OF_TWO] == prepared
    await supervision.shutdown(deadline=0.0)


async def test_actors_on_standby_that_are_not_wanted_in_time_are_drained(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    monkeypatch.setattr("workflow_ray.runtime.ray.target.PREPARED", 0.0)
    supervision.refresh()
    await until(lambda: sorted(registry.holders) == ALL)
    await supervision.shutdown(deadline=0.0)


async def test_another_count_that_is_prepared_replaces_the_one_before(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    await supervision.prepare("orders-1-consumer", 3, wait=5.0)
    of_three = {f"orders-1-consumer-{shard}-of-3" for shard in (1, 2, 3)}
    await until(lambda: registry.holders.keys() == {*ALL, *of_three})


async def test_an_actor_that_dies_on_standby_is_replaced_by_one_on_standby(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    dead = registry.holders[OF_TWO[0]]
    await dead.end()
    await until(lambda: registry.holders.get(OF_TWO[0]) not in (None, dead))
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    assert [phases(supervision)[name] for name in OF_TWO] == ["standby", "standby"]


async def test_preparing_ends_where_an_actor_is_hopeless_and_where_none_comes_up(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    registry.starting = set(OF_TWO)
    await supervision.prepare("orders-1-consumer", 2, wait=0.01)
    preparing = asyncio.create_task(supervision.prepare("orders-1-consumer", 2, wait=600.0))
    for _ in range(2):
        await until(lambda: OF_TWO[0] in registry.holders)
        failed = registry.holders[OF_TWO[0]]
        await failed.end(
            ActorReport(
                phase=Phase.ENDED,
                pid=1,
                node="n",
                why="NotImportable: no module shop",
                crashed=True,
            )
        )
        await registry.left(OF_TWO[0], failed)
    async with asyncio.timeout(5.0):
        await preparing
    await supervision.shutdown(deadline=0.0)


async def test_a_new_supervisor_drains_what_an_earlier_one_has_prepared(
    registry: FakeRegistry,
) -> None:
    registry.holders = {name: FakeActor(phase=Phase.STANDBY) for name in OF_TWO}
    supervision = Supervision(registry, silent=SILENT)
    await until(lambda: sorted(registry.holders) == ALL)
    await supervision.shutdown(deadline=0.0)
