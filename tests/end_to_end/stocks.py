"""A workflow with schedules that note each call of their function, and a worker that runs it."""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import Run, Status, Workflow

EVERY = 0.5
JOURNAL: list[Path] = []


class StockStatus(Status):
    COUNTED = 1
    ORDERED = 2


class Stock(BaseModel):
    tick: datetime


stocks = Workflow("stocks", Stock, StockStatus)


@stocks.step(StockStatus.COUNTED)
async def order(run: Run[Stock, StockStatus]) -> Literal[StockStatus.ORDERED]:
    return StockStatus.ORDERED


@stocks.schedule("often", every=EVERY, overlap="allow")
async def often(tick: datetime) -> Stock:
    note("begun", tick)
    die_if_asked(tick)
    await asyncio.sleep(EVERY / 2)
    note("done", tick)
    return Stock(tick=tick)


@stocks.schedule("nightly", cron="30 2 * * *", timezone="Europe/Berlin")
def nightly(tick: datetime) -> Stock:
    return Stock(tick=tick)


def deadly(journal: Path) -> Path:
    """The file that asks for the death of each process that runs the function for its tick."""
    return journal.with_name("deadly")


def die_if_asked(tick: datetime) -> None:
    for file in map(deadly, JOURNAL):
        if file.exists() and file.read_text() in ("", tick.isoformat()):
            file.write_text(tick.isoformat())
            os._exit(9)


def note(what: str, tick: datetime) -> None:
    for journal in JOURNAL:
        with journal.open("a") as file:
            file.write(f"{what} {tick.isoformat()} {os.getpid()}\n")


def calls(journal: Path) -> list[tuple[str, str, int]]:
    """What was noted: begun or done, the tick, and the process."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [(what, tick, int(pid)) for what, tick, pid in map(str.split, lines)]


async def main(journal: str, lease: str, *urls: str) -> None:
    JOURNAL.append(Path(journal))
    await serve([stocks], lease, *urls)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
