"""How the supervisor carries out its decisions, without Ray."""

import asyncio
import time

import msgspec
import pytest

from tests.ray.fakes import (
    ALL,
    CONSUMER,
    OF_TWO,
    PUBLISHER,
    SILENT,
    FakeRegistry,
    orders,
    phases,
    running,
    until,
)
from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray.actors import STORE, ActorGone
from workflow_ray.runtime.ray.state import ActorReport, Phase
from workflow_ray.runtime.ray.supervision import Supervision


async def test_the_store_is_started_first_and_says_what_else_should_run(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    assert registry.started == [STORE, CONSUMER, PUBLISHER]
    assert [one.name for one in supervision.status() if one.is_running] == ALL


async def test_an_actor_that_dies_is_replaced(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    dead = registry.holders[CONSUMER]
    await dead.end()
    await until(lambda: registry.holders.get(CONSUMER) not in (None, dead))
    await running(supervision, *ALL)
    (consumer,) = [one for one in supervision.status() if one.name == CONSUMER]
    assert (consumer.failures, consumer.why) == (1, "it was killed")


async def test_actors_that_run_already_are_attached_and_not_started_again(
    registry: FakeRegistry,
) -> None:
    first = Supervision(registry, silent=SILENT)
    await running(first, *ALL)
    # the store and what should run are known before its code
    registry.holders[CONSUMER].silent = True
    second = Supervision(registry, silent=SILENT)  # as after the death of the first
    await running(second, STORE, PUBLISHER)
    read = registry.read
    second.refresh()
    await until(lambda: registry.read > read)
    registry.holders[CONSUMER].silent = False
    await running(second, *ALL)
    assert registry.started == [STORE, CONSUMER, PUBLISHER]
    await first.shutdown(deadline=0.0)
    await second.shutdown(deadline=0.0)


async def test_a_name_that_is_still_taken_is_tried_again(registry: FakeRegistry) -> None:
    registry.broken[CONSUMER] = ActorGone("the name is taken")
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.shutdown(deadline=0.0)


async def test_new_shards_replace_the_running_ones(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    registry.target = Deployment(store_id="s", version=2, workflows=(orders(shards=2),))
    supervision.refresh()
    await running(
        supervision, "orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2", PUBLISHER, STORE
    )
    assert CONSUMER not in registry.holders
    assert registry.started.count(PUBLISHER) == 1


async def test_roles_that_are_to_restart_are_drained_and_started_again_and_no_others(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    before = registry.holders[CONSUMER]
    await supervision.restart([CONSUMER, "orders-9-consumer-1-of-1"])
    await running(supervision, *ALL)
    assert registry.holders[CONSUMER] is not before
    assert registry.started == [STORE, CONSUMER, PUBLISHER, CONSUMER]
    assert [one.failures for one in supervision.status()] == [0, 0, 0]
    await supervision.shutdown(deadline=0.0)


async def test_nothing_is_ended_while_the_store_cannot_say_what_should_run(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    registry.target = Deployment(store_id="s", version=2, workflows=())
    registry.broken["deployment"] = StoreUnavailable("the store", "it was killed")
    supervision.refresh()
    await until(lambda: not registry.broken)
    assert registry.killed == []
    supervision.refresh()
    await until(lambda: set(registry.holders) == {STORE})


async def test_a_pass_that_fails_does_not_end_the_supervision(
    supervision: Supervision, registry: FakeRegistry
) -> None:
    await running(supervision, *ALL)
    registry.broken["names"] = RuntimeError("Ray is busy")
    supervision.refresh()
    await until(lambda: not registry.broken)
    dead = registry.holders[PUBLISHER]
    await dead.end()
    await until(lambda: registry.holders.get(PUBLISHER) not in (None, dead))


async def test_an_actor_that_fails_by_itself_again_and_again_is_waited_for_no_longer(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    for _ in range(2):
        await running(supervision, CONSUMER)
        failed = registry.holders[CONSUMER]
        await failed.end(
            ActorReport(
                phase=Phase.ENDED,
                pid=1,
                node="n",
                why="NotImportable: no module shop",
                crashed=True,
            )
        )
        await registry.left(CONSUMER, failed)
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert (consumer.is_hopeless, consumer.why) == (True, "NotImportable: no module shop")
    await supervision.shutdown(deadline=0.0)


async def test_a_definition_that_can_not_be_loaded_is_logged_once_for_all_its_roles(
    registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.target = Deployment(store_id="s", version=2, workflows=(orders(shards=2),))
    why = "workflow 'orders': shop:orders: found no module 'shop'"
    supervision = Supervision(registry, silent=SILENT)
    for _ in range(2):
        for name in OF_TWO:
            await running(supervision, name)
            failed = registry.holders[name]
            await failed.fail_to_load(why)
            await registry.left(name, failed)
        found = await supervision.settled(OF_TWO, wait=0.0)
        assert [(one.phase, one.is_hopeless, one.why) for one in found] == [
            ("failing", True, why)
        ] * 2
        await supervision.restart(OF_TWO)  # it does not wait for its turn
    logged = [record for record in caplog.records if why in record.getMessage()]
    assert [(one.levelname, one.getMessage()) for one in logged] == [
        ("ERROR", f"some roles can't run: {why}")
    ]
    await supervision.shutdown(deadline=0.0)


async def test_a_newer_deployment_starts_at_once_what_could_not_be_loaded(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, CONSUMER)
    failed = registry.holders[CONSUMER]
    await failed.fail_to_load("found no module")
    await registry.left(CONSUMER, failed)
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert consumer.is_hopeless
    registry.target = Deployment(store_id="s", version=2)  # it is undeployed
    await until(lambda: CONSUMER not in phases(supervision))
    registry.target = Deployment(store_id="s", version=3, workflows=(orders(),))  # and deployed
    (consumer,) = await supervision.settled([CONSUMER], wait=5.0, version=3)
    assert consumer.is_running
    await supervision.shutdown(deadline=0.0)


async def test_a_newer_version_that_changes_no_role_is_settled_at_once(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, CONSUMER)
    settling = asyncio.create_task(supervision.settled([CONSUMER], wait=60.0, version=2))
    await asyncio.sleep(0)
    registry.target = Deployment(store_id="s", version=2, workflows=(orders(),))
    (consumer,) = await asyncio.wait_for(settling, 5.0)
    assert consumer.is_running
    await supervision.shutdown(deadline=0.0)


async def test_shutdown_ends_roles_before_the_store_and_kills_actors_that_do_not_end(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.supervision.SLACK", 0.0)
    registry.stubborn = {CONSUMER}
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    store = registry.holders[STORE]
    await supervision.shutdown(deadline=0.01)
    assert registry.holders == {}
    assert registry.killed[-1] is store


async def test_an_actor_that_does_not_answer_is_killed_and_replaced(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.2)
    await running(supervision, *ALL)
    hung = registry.holders[CONSUMER]
    hung.silent = True
    await until(lambda: registry.holders.get(CONSUMER) not in (None, hung))
    await running(supervision, *ALL)
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert registry.killed == [hung]
    assert "it has not answered for" in consumer.why
    await supervision.shutdown(deadline=0.0)


async def test_an_actor_that_does_not_answer_is_not_killed_before_the_target_was_read(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=0.2)
    await running(supervision, *ALL)
    registry.unreadable = True
    registry.holders[CONSUMER].silent = True
    for _ in range(3):
        await registry.refuses_a_read()
    assert registry.killed == []
    registry.unreadable = False
    await until(lambda: len(registry.killed) == 1)
    await supervision.shutdown(deadline=0.0)


async def test_a_supervisor_that_was_suspended_itself_kills_no_actor(
    registry: FakeRegistry,
) -> None:
    supervision = Supervision(registry, silent=0.4)
    await running(supervision, *ALL)
    for _ in range(3):
        time.sleep(0.5)  # blocks the loop on purpose, as a supervisor that stands still
        await asyncio.sleep(0.05)
    assert registry.killed == []
    await supervision.shutdown(deadline=0.0)


async def test_an_actor_that_starts_may_be_silent_for_longer(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.2)
    registry.starting = {CONSUMER}
    await running(supervision, STORE, PUBLISHER)
    await until(lambda: CONSUMER in registry.holders)
    registry.holders[CONSUMER].silent = True
    await asyncio.sleep(0.6)
    assert registry.killed == []
    await until(lambda: len(registry.killed) == 1)
    await supervision.shutdown(deadline=0.0)


async def test_a_newer_deployment_is_followed_without_waiting_for_the_next_pass(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.supervision.POLL", 600.0)
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    workflow = msgspec.structs.replace(orders(), draining=("orders-1-consumer",))
    registry.target = Deployment(store_id="s", version=2, workflows=(workflow,))
    await until(lambda: CONSUMER not in registry.holders)
    registry.target = Deployment(store_id="s", version=3, workflows=(orders(shards=2),))
    await running(
        supervision, "orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2", PUBLISHER, STORE
    )
    await supervision.shutdown(deadline=0.0)
