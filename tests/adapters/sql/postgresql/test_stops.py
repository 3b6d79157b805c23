"""A process that stops within a transaction keeps its locks for a limited time."""

import asyncio
import os
import random
import signal
from functools import partial
from subprocess import Popen

import pytest

from tests.adapters.holders import holder
from tests.adapters.sql.postgresql import stopping
from tests.adapters.zombie import transition
from workflow_ray.ports import Records, SystemClock, persist
from workflow_ray.testing.conformance.runs import deploy, workflow
from workflow_ray_adapters.sql.postgresql import watch

from .conftest import Opener

SOON = 60.0
FEWEST = 6
"""Statements that a write has at least."""
CLOCK = SystemClock()


@pytest.mark.timeout(300)
async def test_a_process_stopped_before_any_statement_of_a_write_loses_its_locks(
    url: str, opened: Opener, rng: random.Random, thorough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TEST", 0.2)
    monkeypatch.setattr(watch, "PAUSE", 0.5)
    some = range(1, 100) if thorough else rng.sample(range(1, FEWEST + 1), 3)
    async with opened() as store:
        await deploy(store, workflow())
        for prepared in some:
            if not await stops_and_loses(store, url, prepared):
                assert prepared > FEWEST
                break


async def stops_and_loses(store: Records, url: str, prepared: int) -> bool:
    """Have a process stop after that many prepared statements, take its role over, and write what
    it would write. Returns False: it has fewer statements.
    """
    with holder(stopping.__name__, url, str(prepared)) as process:
        if await ended_or_stopped(process) != os.CLD_STOPPED:
            assert process.wait() == stopping.NEVER
            return False
        async with asyncio.timeout(SOON):
            fence = await persist(partial(store.acquire, stopping.ROLE), CLOCK, "successor")
            await persist(partial(store.store, [transition(fence, 1)]), CLOCK, "successor")
        process.send_signal(signal.SIGCONT)
        said, _ = await asyncio.to_thread(process.communicate, timeout=60)
        assert said == "Fenced\n"
        return True


async def ended_or_stopped(process: Popen[str]) -> int:
    options = os.WSTOPPED | os.WEXITED | os.WNOWAIT
    found = await asyncio.to_thread(os.waitid, os.P_PID, process.pid, options)
    assert found is not None
    return found.si_code
