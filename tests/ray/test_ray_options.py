"""What a step asks of the cluster: its actor waits for a node that has it, the others run."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.ray.fakes import ALL, CONSUMER, PUBLISHER, SILENT, FakeRegistry, running, until
from tests.ray.test_nodes import run_apart
from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray import supervision as supervising
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.supervision import Supervision

GPU = RayOptions(num_gpus=1)


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "PLACING", 0.05)


class Mortal(Supervision):
    async def die(self) -> None:
        """End as a process does that is killed: the actors stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(set(self._tasks))


def status(supervision: Supervision) -> ActorStatus:
    (found,) = [one for one in supervision.status() if one.name == CONSUMER]
    return found


async def test_an_actor_that_tells_what_its_step_asks_for_is_started_again_with_it(
    registry: FakeRegistry, supervision: Supervision
) -> None:
    await running(supervision, *ALL)
    first = registry.holders[CONSUMER]
    await first.ask_for(GPU)
    await registry.left(CONSUMER, first)
    await until(lambda: CONSUMER in registry.holders)
    await running(supervision, *ALL)
    assert registry.asked == {CONSUMER: GPU, PUBLISHER: NOTHING, "store": NOTHING}
    assert status(supervision).failures == 0


async def test_an_actor_without_a_node_waits_and_is_not_waited_for(
    registry: FakeRegistry, supervision: Supervision
) -> None:
    await running(supervision, *ALL)
    registry.full = True
    await registry.holders[CONSUMER].ask_for(GPU)
    await until(lambda: status(supervision).is_unplaced)
    found = {one.name: one for one in await supervision.settled(ALL, wait=5.0)}
    assert found[CONSUMER].why == "it waits for a node with num_gpus=1"
    assert (found[CONSUMER].phase, found[PUBLISHER].phase) == ("waiting", "running")
    await supervision.prepare("orders-1-consumer", 1, wait=5.0)
    registry.holders[CONSUMER].silent = False  # a node has come
    await until(lambda: status(supervision).phase == "running")
    assert not status(supervision).is_unplaced


async def test_an_actor_of_earlier_code_without_a_node_does_not_count_for_a_new_deployment(
    registry: FakeRegistry, supervision: Supervision
) -> None:
    await running(supervision, *ALL)
    registry.full = True
    await registry.holders[CONSUMER].ask_for(GPU)
    await until(lambda: status(supervision).is_unplaced)
    (workflow,) = registry.target.workflows
    workflow = msgspec.structs.replace(workflow, code="new")
    registry.target = Deployment(store_id="s", version=2, workflows=(workflow,))
    supervision.refresh()
    (consumer,) = await supervision.settled([CONSUMER], wait=5.0, version=2)
    assert consumer.is_running


async def test_an_actor_without_a_node_is_ended_at_once(
    registry: FakeRegistry, supervision: Supervision
) -> None:
    await running(supervision, *ALL)
    registry.full = True
    await registry.holders[CONSUMER].ask_for(GPU)
    await until(lambda: status(supervision).is_unplaced)
    waiting = registry.holders[CONSUMER]
    await supervision.restart([CONSUMER])
    assert waiting in registry.killed


async def test_a_new_supervisor_starts_an_actor_again_that_does_not_tell_what_it_waits_for(
    registry: FakeRegistry,
) -> None:
    before = Mortal(registry, silent=SILENT)
    await running(before, *ALL)
    registry.full = True
    await registry.holders[CONSUMER].ask_for(GPU)
    await until(lambda: status(before).is_unplaced)
    await before.die()
    waiting = registry.holders[CONSUMER]
    after = Supervision(registry, silent=0.2)
    await registry.left(CONSUMER, waiting)
    await until(lambda: registry.asked[CONSUMER] == NOTHING)
    await registry.holders[CONSUMER].ask_for(GPU)
    await until(lambda: status(after).is_unplaced)
    await after.shutdown(deadline=0.0)


@pytest.mark.timeout(400)
async def test_a_role_waits_for_a_node_that_has_what_its_step_asks_for(
    server_folder: Path, tmp_path: Path
) -> None:
    await run_apart(
        "tests.ray.lens_nodes",
        f"sqlite:///{tmp_path}/records.db",
        sockets=server_folder,
        folder=tmp_path,
    )
