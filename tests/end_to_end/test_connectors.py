"""Connectors and hooks whose process is killed, or stopped and continued: nothing is lost."""

import asyncio
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from tests.adapters.kafka.others import others
from tests.end_to_end import carts
from tests.end_to_end.carts import ATTEMPTS, Cart, CartStatus
from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.workers import WorkerProcess, until, worker_of, workers
from tests.servers import Kafka
from workflow_ray import Client, RunState, connect

LEASE = 2.0
CARTS = "tests.end_to_end.carts"
pytestmark = pytest.mark.timeout(240)


def names(journal: Path, what: str) -> set[str]:
    return {name for name, _ in carts.noted(journal, what)}


def has_begun(journal: Path, count: int) -> bool:
    return len(carts.noted(journal, "line")) > count


def are_handled(journal: Path, lines: set[str]) -> bool:
    return names(journal, "handled") == lines


def append(journal: Path, *lines: str) -> None:
    with carts.log_of(journal).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def restart(worker: WorkerProcess) -> None:
    assert worker.process is not None
    await worker.process.wait()
    await worker.start()


async def check(client: Client[Cart, CartStatus], keys: set[str]) -> None:
    """Check that each key has one run, and that it is complete."""
    async with asyncio.timeout(60):
        while True:
            runs = [run async for run in client.runs()]
            if len(runs) >= len(keys) and all(run.run_state.finished for run in runs):
                break
            await asyncio.sleep(0.05)
    assert Counter(run.foreign_id for run in runs) == dict.fromkeys(keys, 1)
    assert {run.run_state for run in runs} == {RunState.COMPLETED}


async def test_events_of_a_killed_process_are_handled_and_start_no_run_twice(
    tmp_path: Path,
) -> None:
    url, journal = f"sqlite:///{tmp_path}/carts.db", tmp_path / "journal"
    keys = [f"cart-{number}" for number in range(300)]
    async with workers(1, journal, LEASE, url, module=CARTS) as (worker,):
        for part in range(3):
            some = keys[100 * part : 100 * part + 100]
            begun = len(carts.noted(journal, "line"))
            append(journal, *[f"{key} slow" for key in some])
            await until(partial(has_begun, journal, begun + 20))
            await worker.kill()
            await worker.start()
        wanted = {f"{key} slow" for key in keys}
        await until(lambda: names(journal, "handled") == wanted)
        async with connect(carts.carts, records=url) as client:
            await check(client, set(keys))
        await until(lambda: names(journal, "thanked") == set(keys))
        async with connect(carts.carts, records=url) as client:
            assert [letter async for letter in client.dead_letters()] == []


async def test_a_line_that_kills_its_process_is_a_dead_letter_and_the_others_are_handled(
    tmp_path: Path, cli: CommandLine
) -> None:
    journal = tmp_path / "journal"
    keys = [f"cart-{number}" for number in range(40)]
    lines = [f"{key} fine" for key in keys]
    lines[7] = "cart-7 deadly"
    async with workers(1, journal, LEASE, cli.records, module=CARTS) as (worker,):
        append(journal, *lines)
        deaths = 0
        while True:
            assert worker.process is not None
            try:
                async with asyncio.timeout(15):
                    assert await worker.process.wait() == -signal.SIGKILL
            except TimeoutError:
                break
            deaths += 1
            assert deaths < 15
            await worker.start()
        others_done = {line for line in lines if "fine" in line}
        await until(lambda: names(journal, "handled") == others_done)
        # those of the event itself, and those that showed which event it was
        assert ATTEMPTS <= deaths <= ATTEMPTS + 8
        async with connect(carts.carts, records=cli.records) as client:
            await check(client, set(keys) - {"cart-7"})
            letters = client.dead_letters(connector="lines")
            (letter,) = [each async for each in letters]
            assert letter.attempts == ATTEMPTS
            shown = await letters.show(letter.id)
            assert shown.event is not None
            assert shown.event.data == b"cart-7 deadly"
            await letters.drop(letter.id)


async def test_a_broken_line_is_set_aside_and_the_command_line_replays_it(
    tmp_path: Path, cli: CommandLine
) -> None:
    journal = tmp_path / "journal"
    async with workers(1, journal, LEASE, cli.records, module=CARTS):
        append(journal, "cart-0 fine", "cart-1 broken", "cart-2 fine")
        await until(lambda: len(carts.noted(journal, "line")) >= 2 + ATTEMPTS)
        await until(lambda: len(cli.json("dead-letters", "list", "carts")) == 1)
        (letter,) = cli.json("dead-letters", "list", "carts")
        assert letter["error"] == "ValueError: this line is broken"
        assert "cart-1 broken" not in cli("dead-letters", "list", "carts").stdout
        shown = cli.json("dead-letters", "show", "carts", letter["id"])
        assert (shown["data"], shown["key"]) == ("cart-1 broken", "cart-1")
        replayed = cli.json("dead-letters", "replay", "carts", letter["id"])
        assert replayed == {"workflow": "carts", "ids": [letter["id"]]}
        await until(lambda: len(carts.noted(journal, "line")) >= 2 + 2 * ATTEMPTS)
        await until(lambda: len(cli.json("dead-letters", "list", "carts")) == 1)
        cli("dead-letters", "drop", "carts", letter["id"])
        failed = cli("dead-letters", "show", "carts", letter["id"], expect=3)
        assert "has no dead letter" in failed.stderr
        cli("dead-letters", "list", "carts", "--connector", "nothing", expect=2)


async def test_a_process_that_was_stopped_and_goes_on_after_another_took_over_writes_nothing(
    postgres_url: str,
    redis_url: str,
    kafka: Kafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal, topic = tmp_path / "journal", f"carts-{uuid4()}"
    monkeypatch.setenv(carts.TOPIC, topic)
    events = f"{kafka.url}/{uuid4()}"
    async with others(kafka.address) as someone:
        await someone.make(topic, partitions=2)
        urls = (postgres_url, events, redis_url)
        async with workers(2, journal, LEASE, *urls, module=CARTS) as some:
            keys: list[str] = []
            for number in range(3):
                fresh = [f"cart-{number}-{each}" for each in range(60)]
                keys += fresh
                for place, key in enumerate(fresh):
                    await someone.put(topic, place % 2, f"{key} slow".encode(), key=key.encode())
                pids = await until(partial(_of, journal, fresh))
                holder = worker_of(pids[0], some)
                if number == 0:
                    await holder.kill()
                    await holder.start()
                else:
                    holder.freeze()
                    await until(partial(are_handled, journal, {f"{key} slow" for key in keys}))
                    holder.send(signal.SIGCONT)
            wanted = {f"{key} slow" for key in keys}
            await until(lambda: names(journal, "handled") == wanted)
            async with connect(carts.carts, records=postgres_url) as client:
                await check(client, set(keys))
                assert [letter async for letter in client.dead_letters()] == []
                await until(lambda: names(journal, "thanked") == set(keys))
                run = await client.latest(keys[0])
                entries = await client.handle(run.run_id).history()
                assert entries[0].by.startswith("carts-lines-connector-")


def _of(journal: Path, keys: list[str]) -> list[int]:
    """The processes that were given events of these keys."""
    return [pid for line, pid in carts.noted(journal, "line") if line.partition(" ")[0] in keys]
