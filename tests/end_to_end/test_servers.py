"""The orders demo on every kind of store, whose servers are killed meanwhile and started again."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

import pytest

from examples.orders import orders
from examples.orders.generate import encode, generate
from tests.end_to_end.checks import check_orders, count_finished
from tests.end_to_end.conftest import CommandLine
from tests.servers import Kafka, MariaDB, Postgres, Redis, Server
from workflow_ray import connect
from workflow_ray.errors import WorkflowError

COUNT = 1000
POLL = 0.02
PATIENCE = 90.0
"""Seconds to start, and seconds to end when the servers are back."""
pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Place:
    """The servers of a demo, and how to crash and recover them."""

    environment: Mapping[str, str]
    servers: tuple[Server, ...]

    def crash(self) -> None:
        for server in self.servers:
            server.kill()

    def recover(self) -> None:
        for server in self.servers:
            server.start()


@contextmanager
def postgresql_and_kafka(folder: Path) -> Generator[Place]:
    with Postgres(folder) as postgres, Kafka(folder) as kafka:
        yield Place(
            {"WORKFLOW_RAY_RECORDS": postgres.url, "WORKFLOW_RAY_EVENTS": kafka.url},
            (postgres, kafka),
        )


@contextmanager
def mariadb(folder: Path) -> Generator[Place]:
    with MariaDB(folder) as server:
        yield Place({"WORKFLOW_RAY_RECORDS": server.url}, (server,))


@contextmanager
def redis(folder: Path) -> Generator[Place]:
    with Redis(folder, {"appendfsync": "always"}) as server:
        yield Place({"WORKFLOW_RAY_RECORDS": server.url}, (server,))


@pytest.fixture(params=[postgresql_and_kafka, mariadb, redis], ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[Place]:
    with request.param(server_folder) as place:
        yield place


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run the command line. Tests read the same records from their own process."""
    monkeypatch.setenv("WORKFLOW_RAY_HOME", cli.environment["WORKFLOW_RAY_HOME"])
    return cli


def on(place: Place, cli: CommandLine) -> CommandLine:
    return replace(
        cli,
        records=place.environment["WORKFLOW_RAY_RECORDS"],
        environment={**cli.environment, **place.environment},
    )


def order_lines() -> list[str]:
    return [f"{encode(key, order)}\n" for key, order in generate(COUNT, seed=7)]


async def wait_until_under_way(records: str, job: Popen[str]) -> None:
    """Wait until some orders are finished, and others are not yet given."""
    while job.poll() is None:
        with suppress(WorkflowError):  # not deployed yet
            async with connect(orders, records=records) as client:
                while not await count_finished(client):
                    await asyncio.sleep(POLL)
                return
        await asyncio.sleep(POLL)
    pytest.fail(job.communicate()[1])


async def run_through_a_crash(
    cli: CommandLine, runtime: str, crash: Callable[[], None], recover: Callable[[], None]
) -> None:
    """Give half of the orders before the crash, and the others while the servers are away."""
    before, after = order_lines()[: COUNT // 2], order_lines()[COUNT // 2 :]
    with cli.start("run", "examples.orders:orders", "--input", "-", "--runtime", runtime) as job:
        try:
            assert job.stdin is not None
            await asyncio.to_thread(job.stdin.writelines, before)
            job.stdin.flush()
            async with asyncio.timeout(PATIENCE):
                await wait_until_under_way(cli.records, job)
            crash()
            rest = asyncio.create_task(asyncio.to_thread(job.communicate, "".join(after)))
            await asyncio.to_thread(recover)
            await asyncio.wait([rest], timeout=PATIENCE)
            job.kill()  # if it has not ended by then, so that the output tells how far it was
            said, complained = await rest
            assert job.returncode == 0, complained
            assert f"{COUNT:,}" in said
        finally:
            job.kill()
    await check_orders(cli.records, COUNT)


async def test_on_ray_every_order_is_made_once_though_its_servers_crash(
    cli: CommandLine, place: Place
) -> None:
    cli = on(place, cli)
    try:
        await run_through_a_crash(cli, "ray", place.crash, place.recover)
    finally:
        cli("down")


async def test_in_one_process_every_order_is_made_once_though_its_servers_crash(
    cli: CommandLine, place: Place
) -> None:
    await run_through_a_crash(on(place, cli), "local", place.crash, place.recover)


async def test_on_sqlite_every_order_is_made_once_though_the_adapter_actor_is_killed(
    cli: CommandLine,
) -> None:
    try:
        cli("deploy", "examples.orders:orders")
        (pid,) = (actor["pid"] for actor in cli.roles() if actor["name"] == "store")
        await run_through_a_crash(cli, "ray", lambda: os.kill(pid, signal.SIGKILL), lambda: None)
    finally:
        cli("down")
