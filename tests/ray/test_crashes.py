"""SIGKILL and SIGSTOP on Ray. It recovers by itself, and the history shows that nothing was lost or
done twice.
"""

import asyncio
import os
import random
import signal
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import cycle
from subprocess import Popen

import pytest

from tests.ray.conftest import POLL, Deployment, check_history, ended, eventually
from tests.ray.flows import Parcel, ParcelStatus, parcels
from tests.servers import processes
from workflow_ray import Client, RunState, Runtime, Trigger
from workflow_ray.errors import RunPaused
from workflow_ray.records import Role
from workflow_ray.runtime.ray.actors import STORE, SUPERVISOR
from workflow_ray.runtime.ray.deployment import RayRuntime

SOON = timedelta(seconds=30)
ROLE = Role("parcels-2-consumer")
CONSUMER, PUBLISHER, DRIVER, ALL = ROLE.name, "outbox-publisher-1-of-1", "driver", "all"
TERMINATED, FROZEN, SCALED = "terminated", "frozen", "scaled"
FAULTS = (CONSUMER, PUBLISHER, STORE, SUPERVISOR, DRIVER, ALL, TERMINATED, FROZEN, SCALED)
"""The process that is killed; or an actor gets SIGTERM, or is suspended for a while, or a step's
shard count changes.
"""
RUNS = 2_000
STRIKES = 14  # each fault at least once
AHEAD = 150
"""How many runs the driver may feed beyond the next fault, so that it still feeds at the fault."""
STANDSTILL = 2.0
"""Seconds for which an actor is suspended."""


@pytest.mark.parametrize("victim", [CONSUMER, PUBLISHER, STORE, SUPERVISOR])
async def test_an_actor_that_is_killed_is_replaced_and_work_goes_on(
    deployment: Deployment, victim: str
) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        before = await deployment.pids()
        os.kill(before[victim], signal.SIGKILL)
        handle = await runtime.client(parcels).trigger("parcel", Parcel())
        await handle.wait(timeout=SOON)
        after = await deployment.pids(other_than=before[victim])
    assert {name for name in before if before[name] != after[name]} == {victim}


@pytest.mark.timeout(300)
async def test_a_job_survives_whatever_happens_and_whenever(
    deployment: Deployment, rng: random.Random
) -> None:
    moments = sorted(rng.randrange(1, RUNS - AHEAD) for _ in range(STRIKES))
    faults = [*FAULTS, *rng.choices(FAULTS, k=STRIKES - len(FAULTS))]
    rng.shuffle(faults)
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        await _feed_and_strike(deployment, runtime, deque(zip(moments, faults, strict=True)))
        await check_history(runtime.client(parcels), RUNS)


async def test_a_step_that_kills_its_process_ends_paused_and_holds_up_no_other(
    deployment: Deployment,
) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client = runtime.client(parcels)
        triggers: list[Trigger[Parcel, ParcelStatus]]
        triggers = [
            Trigger(f"parcel-{number}", Parcel(deadly=number == 77)) for number in range(200)
        ]
        handles = [handle for handle, _ in await client.trigger_many(triggers)]
        for handle in handles[:77] + handles[78:]:
            await handle.wait(timeout=SOON)
        with pytest.raises(RunPaused):
            await handles[77].wait(timeout=SOON)
        assert await client.counts() == {
            (ParcelStatus.CREATED, RunState.PAUSED): 1,
            (ParcelStatus.SENT, RunState.COMPLETED): 199,
        }


async def test_an_actor_that_lost_its_role_while_it_was_suspended_writes_nothing_and_ends(
    deployment: Deployment,
) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client, pids = runtime.client(parcels), await deployment.pids()
        with _standing_still(pids[SUPERVISOR]):  # so that the role has to leave by itself
            with _standing_still(pids[CONSUMER]):
                await runtime.store.acquire(ROLE)
                triggered = await client.trigger_many(
                    Trigger(f"parcel-{number}", Parcel()) for number in range(20)
                )
                for handle, _ in triggered:
                    await handle.wait_for(ParcelStatus.WEIGHED, timeout=SOON)
            await eventually(lambda: ended([pids[CONSUMER]]), "the role stays")
            assert await client.counts() == {(ParcelStatus.WEIGHED, RunState.RUNNING): 20}
        for handle, _ in triggered:
            await handle.wait(timeout=SOON)
        await check_history(client, 20)


async def _feed_and_strike(
    deployment: Deployment, runtime: RayRuntime, strikes: deque[tuple[int, str]]
) -> None:
    """Let a driver feed all runs, and let each fault happen when so many runs have ended.

    A driver that was killed is started again.
    """
    client, shards = runtime.client(parcels), cycle([3, 1, 2])
    while True:
        with deployment.driver(RUNS, gated=True) as driver:
            _let_feed(driver, strikes)
            while driver.poll() is None:
                if strikes and await _ended(client) >= strikes[0][0]:
                    _, fault = strikes.popleft()
                    if fault == SCALED:
                        await runtime.scale(parcels, ParcelStatus.CREATED, shards=next(shards))
                    await _strike(deployment, fault)
                    if fault in (DRIVER, ALL):
                        break
                    _let_feed(driver, strikes)
                await asyncio.sleep(POLL)
            else:
                assert (driver.returncode, strikes) == (0, deque())
                return


def _let_feed(driver: Popen[str], strikes: deque[tuple[int, str]]) -> None:
    assert driver.stdin is not None
    with suppress(BrokenPipeError):  # it has fed all
        driver.stdin.write(f"{strikes[0][0] + AHEAD if strikes else RUNS}\n")


async def _ended(client: Client[Parcel, ParcelStatus]) -> int:
    return (await client.counts()).get((ParcelStatus.SENT, RunState.COMPLETED), 0)


async def _strike(deployment: Deployment, fault: str) -> None:
    """Make the fault happen to its processes."""
    if fault in (DRIVER, SCALED):
        return
    pids = await deployment.pids()
    if fault == FROZEN:
        with _standing_still(pids[CONSUMER]):
            await asyncio.sleep(STANDSTILL)
    elif fault == TERMINATED:
        os.kill(pids[CONSUMER], signal.SIGTERM)
    else:
        for pid in pids.values() if fault == ALL else [pids[fault]]:
            os.kill(pid, signal.SIGKILL)


@contextmanager
def _standing_still(pid: int) -> Generator[None, None, None]:
    processes.freeze([pid])
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
