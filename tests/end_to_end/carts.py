"""A workflow that a connector and hooks belong to, which note their calls, and a worker that runs
it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Client, ConnectorEvent, Retry, Run, Status, Workflow, source
from workflow_ray.ports import ConnectorSource
from workflow_ray_adapters.kafka import KafkaSource

TOPIC = "CARTS_TOPIC"
"""The variable that names a Kafka topic. Without it the events are the lines of a file."""
ATTEMPTS = 3
JOURNAL: list[Path] = []


class CartStatus(Status):
    FILLED = 1
    ORDERED = 2


class Cart(BaseModel):
    line: str


carts = Workflow("carts", Cart, CartStatus)


def log_of(journal: Path) -> Path:
    """The file whose lines are the events."""
    return journal.with_name("log")


@source
async def lines(offset: int) -> AsyncIterator[tuple[int, bytes, str]]:
    """The lines of the file, from a number on."""
    while True:
        (file,) = map(log_of, JOURNAL)
        text = file.read_bytes() if file.exists() else b""
        complete = text[: text.rfind(b"\n") + 1].splitlines()
        for number, line in enumerate(complete[offset:], offset):
            yield number, line, line.decode().partition(" ")[0]
            offset = number + 1
        await asyncio.sleep(0.01)


def chosen() -> ConnectorSource:
    topic = os.environ.get(TOPIC)
    return KafkaSource(topic) if topic else lines


@carts.connector(
    "lines", chosen(), retry=Retry(attempts=ATTEMPTS, backoff=timedelta(milliseconds=100))
)
async def on_line(client: Client[Cart, CartStatus], event: ConnectorEvent) -> None:
    line = event.data.decode()
    note("line", line)
    if "deadly" in line:
        os.kill(os.getpid(), signal.SIGKILL)
    if "broken" in line:
        raise ValueError("this line is broken")
    await client.trigger(event.key, Cart(line=line))
    if "slow" in line:
        await asyncio.sleep(0.2)
    note("handled", line)


@carts.step(CartStatus.FILLED)
async def order(run: Run[Cart, CartStatus]) -> Literal[CartStatus.ORDERED]:
    return CartStatus.ORDERED


@carts.on_complete
async def thank(run: Run[Cart, CartStatus]) -> None:
    note("thanking", run.foreign_id)
    await asyncio.sleep(0.05)
    note("thanked", run.foreign_id)


def note(what: str, name: str) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{what}\t{name}\t{os.getpid()}\n")


def noted(journal: Path, what: str) -> list[tuple[str, int]]:
    """The names that were noted, each with the process."""
    entries = (
        [line.split("\t") for line in journal.read_text().splitlines()]
        if (journal.exists())
        else []
    )
    return [(name, int(pid)) for kind, name, pid in entries if kind == what]


async def main(journal: str, lease: str, url: str, *others: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([carts], lease, url, *others)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
