"""A sweep leaves what belongs to a run that may still be made."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from tests.unit.codecs.keys_in_memory import KeysInMemory
from tests.unit.coding.vaults import Label, Stage
from tests.unit.faulty_store import FaultyStore
from workflow_ray import Client, Encryption, Run, Workflow, new_key
from workflow_ray.coding import sweep
from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.testing import FakeClock

HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC))  # run ids have the time of this machine


class Deployment:
    """A workflow with keys of runs, as several processes have it."""

    def __init__(self) -> None:
        self.keys = KeysInMemory()
        self._key = new_key("main")

    def workflow(self) -> Workflow[Label, Stage]:
        """Return the workflow of one process, which has no keys in memory."""
        encryption = Encryption([self._key], run_keys=self.keys)
        workflow = Workflow("labels", Label, Stage, codec=encryption)

        @workflow.step(Stage.OPEN)
        async def close(run: Run[Label, Stage]) -> Literal[Stage.CLOSED]:
            return Stage.CLOSED

        return workflow


async def test_a_trigger_that_is_repeated_for_hours_keeps_its_key(clock: FakeClock) -> None:
    deployment, store = Deployment(), FaultyStore(clock)
    client = Client(deployment.workflow(), store, clock, patience=12 * HOUR)
    store.away = True
    trigger = asyncio.create_task(client.trigger("label-1", Label(text="kept")))
    await clock.settle()
    assert len(deployment.keys.keys) == 1
    clock.jump(clock.now() + timedelta(hours=11.9))
    assert await sweep(deployment.workflow(), store, clock) == 0
    store.away = False
    await clock.advance(timedelta(seconds=10))
    handle = await trigger
    other = Client(deployment.workflow(), store, clock)
    assert (await other.get(handle.run_id)).data == Label(text="kept")


async def test_a_key_without_a_run_is_deleted_after_a_day(clock: FakeClock) -> None:
    deployment, store = Deployment(), FaultyStore(clock)
    store.away = True
    client = Client(deployment.workflow(), store, clock, patience=0)
    with pytest.raises(StoreUnavailable):
        await client.trigger("label-1", Label())
    for hours, swept in ((23.9, 0), (0.2, 1)):
        clock.jump(clock.now() + timedelta(hours=hours))
        assert await sweep(deployment.workflow(), store, clock) == swept


async def test_a_client_that_would_outlast_a_sweep_is_refused(clock: FakeClock) -> None:
    workflow, store = Deployment().workflow(), FaultyStore(clock)
    refused = r"^patience: a workflow with codecs has 12 hours at most, not 43201 s: `sweep_codecs`"
    with pytest.raises(InvalidInput, match=refused):
        Client(workflow, store, clock, patience=12 * HOUR + 1)
    Client(Workflow("plain", Label, Stage), store, clock, patience=12 * HOUR + 1)
