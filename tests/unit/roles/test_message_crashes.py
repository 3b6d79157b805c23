"""Killed processes while functions of messages run, and what that costs.

The records are in SQLite, so that they outlive a process.
"""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tests.unit.parcels import Parcel
from tests.unit.roles.messaging import Deal, DealRun, Payment, callback, deals
from tests.unit.roles.test_crashes import opened
from workflow_ray import Client, Retry, Trigger
from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.records import (
    Message,
    MessageOutcome,
    MessageQuery,
    NewMessage,
    RunId,
    RunQuery,
    WriteGroup,
)
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.role_processes import run_role

ATTEMPTS = 2
RETRY = Retry(attempts=ATTEMPTS, backoff=timedelta(milliseconds=50))
workflow = deals(partitions=4)
CALLS = "CALLS"
"""The environment variable that names the file in which calls are noted."""
STORED = "stored: "
"""Begins the line that notes that a call's result was committed."""


def book(name: str) -> str:
    """A side effect that must not be repeated."""
    note(name)
    return name


def note(line: str) -> None:
    with Path(os.environ[CALLS]).open("a") as file:
        file.write(f"{line}\n")


@workflow.callback(Deal.OPEN, retry=RETRY)
async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
    if run.foreign_id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    run.data.label = await run.once("book", book, run.foreign_id)
    if run.foreign_id.startswith("after once") and not _was_killed(run.foreign_id):
        note(f"{STORED}{run.foreign_id}")
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.02)
    return Deal.PAID


def _was_killed(name: str) -> bool:
    """Whether this was called for the name before, in this process or another one."""
    file = Path(f"{os.environ[CALLS]}.{name}")
    known = file.exists()
    file.touch()
    return known


async def work(url: str) -> None:
    """Run all roles until no message waits, or the process dies."""
    async with opened(url) as store:
        stop, clock = asyncio.Event(), SystemClock()
        roles = roles_of((await store.deployment()).workflows)
        fences = [await store.acquire(role) for role in roles]
        pairs = zip(roles, fences, strict=True)
        tasks = [
            asyncio.create_task(run_role(role, fence, [workflow], store, clock, stop))
            for role, fence in pairs
        ]
        while any(record.messages for record in await store.runs(RunQuery(workflow="deals"))):
            await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*tasks)
        for fence in fences:
            await store.release(fence)


def worker(url: str, calls: Path) -> int:
    """Run another worker and return its exit code."""
    code = (
        "import asyncio; from tests.unit.roles.test_message_crashes import work;"
        f" asyncio.run(work({url!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        timeout=60,
        check=False,
        env={**os.environ, CALLS: str(calls)},
    ).returncode


async def posted(url: str, *names: str) -> dict[str, NewMessage]:
    """Start a run for each name, and post a message to it."""
    records_adapter(url).create(url)
    async with opened(url) as store:
        await merge(store, [describe_here(workflow)])
        triggers = [Trigger[Parcel, Deal](name, Parcel()) for name in names]
        started = await Client(workflow, store, SystemClock()).trigger_many(triggers)
        messages = {
            name: callback(handle.run_id, "paid", b'{"amount":1}')
            for name, (handle, _) in zip(names, started, strict=True)
        }
        await store.store([WriteGroup(messages=tuple(messages.values()))])
    return messages


async def read(url: str, messages: dict[str, NewMessage]) -> dict[str, Message]:
    async with opened(url) as store:
        query = MessageQuery(keys=tuple(message.key for message in messages.values()))
        found = {message.key: message for message in await store.messages(query)}
    return {name: found[message.key] for name, message in messages.items()}


async def test_a_message_that_kills_its_process_uses_up_its_attempts_and_no_others(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    messages = await posted(url, *map(str, range(20)), "killer", *map(str, range(20, 40)))
    deaths = 0
    while await asyncio.to_thread(worker, url, tmp_path / "calls") == -signal.SIGKILL:
        deaths += 1
        assert deaths < 10
    found = await read(url, messages)
    killer = found.pop("killer")
    assert (killer.outcome, killer.attempt) == (MessageOutcome.FAILED, ATTEMPTS)
    assert killer.reason is not None
    assert "the process died while paid ran" in killer.reason
    assert {each.outcome for each in found.values()} == {MessageOutcome.TAKEN}
    assert deaths == 2 + ATTEMPTS, "with others, in a group, and alone for each of its attempts"


async def test_a_process_that_dies_after_once_does_not_repeat_the_side_effect(
    tmp_path: Path,
) -> None:
    url, calls = f"sqlite:///{tmp_path}/runs.db", tmp_path / "calls"
    names = [f"after once {number}" for number in range(3)]
    messages = await posted(url, *names)
    while await asyncio.to_thread(worker, url, calls) == -signal.SIGKILL:
        pass
    found = await read(url, messages)
    assert {each.outcome for each in found.values()} == {MessageOutcome.TAKEN}
    assert await labels(url, [each.run_id for each in found.values()]) == names
    killed = [path.name for path in tmp_path.glob("calls.*")]
    assert len(killed) == len(names)
    # what was killed between the call and the commit of its result is called again
    lines = calls.read_text().splitlines()
    assert sorted({line for line in lines if not line.startswith(STORED)}) == names
    for name in names:
        assert name not in lines[lines.index(f"{STORED}{name}") :], "its result was committed"


async def labels(url: str, run_ids: list[RunId]) -> list[str]:
    async with opened(url) as store:
        records = await store.lookup(run_ids)
    return sorted(workflow.decode(record.data).label for record in records if record)
