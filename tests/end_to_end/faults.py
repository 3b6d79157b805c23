"""Makes workers, their clocks and their servers fail under load."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import TypeAlias

from tests.adapters.sql.databases import set_read_only
from tests.end_to_end.chores import Chore, ChoreStatus, chores
from tests.end_to_end.workers import WorkerProcess
from tests.servers import Postgres
from workflow_ray import Client, Handle
from workflow_ray.ports import Records, SystemClock, persist
from workflow_ray.runtime.scaling import scale

CLOCK = SystemClock()
COUNTS = (4, 2, 1)
READ_ONLY = 0.7
"""Seconds for which a database accepts no writes."""
EVERY = 0.1
"""Seconds between two new runs."""


@dataclass(frozen=True)
class Disturbance:
    """A fault after which steps that began before its end may be executed again.

    Times are in seconds since 1970. It ends when every worker has had a heartbeat: before that, a
    worker that has lost its roles does not know it, and still begins steps.
    """

    fault: str
    begin: float
    end: float


@dataclass
class Site:
    """What a fault can strike."""

    workers: Sequence[WorkerProcess]
    lease: float  # of the workers, in seconds
    url: str  # of the records
    records: Records
    client: Client[Chore, ChoreStatus]
    rng: random.Random
    server: Postgres | None = None  # a server that may be restarted
    cut_log: Callable[[], None] | None = None
    counts: Iterator[int] = field(default_factory=lambda: cycle(COUNTS))
    disturbances: list[Disturbance] = field(default_factory=list[Disturbance])
    handles: list[Handle[Chore, ChoreStatus]] = field(
        default_factory=list[Handle[Chore, ChoreStatus]]
    )

    async def strike(self, fault: "Fault") -> None:
        """Make a fault happen, and note it if steps may be executed again because of it."""
        print(f"{time.time():.3f} {fault.__name__}", flush=True)
        begin = time.time()
        await fault(self)
        if fault in DISTURBING:
            self.disturbances.append(Disturbance(fault.__name__, begin, time.time() + self.lease))

    async def load(self, enough: asyncio.Event) -> None:
        """Trigger runs until there are enough. Some fail once, some repeat, some take seconds."""
        while not enough.is_set():
            seconds = (
                self.rng.uniform(1, 2) if self.rng.random() < 0.1 else self.rng.uniform(0, 0.2)
            )
            kind = self.rng.randrange(5)
            chore = Chore(seconds=seconds, fails=kind == 0, repeats=kind == 1)
            self.handles.append(await self.client.trigger(f"chore-{len(self.handles)}", chore))
            await asyncio.sleep(EVERY)


Fault: TypeAlias = Callable[[Site], Awaitable[None]]


async def worker_told_to_stop(site: Site) -> None:
    worker = site.rng.choice(site.workers)
    await worker.terminate()
    await worker.start()


async def worker_killed(site: Site) -> None:
    worker = site.rng.choice(site.workers)
    await worker.kill()
    await worker.start()


async def worker_frozen(site: Site) -> None:
    """Freeze a worker for longer than its lease, so that the other one acquires its roles."""
    worker = site.rng.choice(site.workers)
    worker.freeze()
    await asyncio.sleep(1.5 * site.lease)
    worker.send(signal.SIGCONT)


async def clock_jumps(site: Site) -> None:
    """Move the clock of one worker by minutes, either way, until its next jump or its end."""
    site.rng.choice(site.workers).send(site.rng.choice([signal.SIGUSR1, signal.SIGUSR2]))


async def loop_blocked(site: Site) -> None:
    """Block a loop for longer than a lease, by an async step that should not do so."""
    number = len(site.handles)
    chore = Chore(seconds=1.2 * site.lease, blocks=True)
    site.handles.append(await site.client.trigger(f"blocks-{number}", chore))
    await site.handles[-1].wait_for(ChoreStatus.BEGUN)


async def store_read_only(site: Site) -> None:
    """Make the store read-only and cut its connections, as during a failover."""
    await set_read_only(site.url, True)
    await asyncio.sleep(READ_ONLY)
    await set_read_only(site.url, False)


async def store_restarted(site: Site) -> None:
    assert site.server is not None
    site.server.kill()
    await asyncio.to_thread(site.server.start)


async def step_scaled(site: Site) -> None:
    change = partial(
        scale, site.records, chores.name, ChoreStatus.NEW.value, shards=next(site.counts)
    )
    await persist(change, CLOCK, "operator")


async def log_cut(site: Site) -> None:
    """Remove the last events of the stream, or all of them."""
    assert site.cut_log is not None
    await asyncio.to_thread(site.cut_log)


HARMLESS: tuple[Fault, ...] = (worker_told_to_stop, clock_jumps, store_read_only, loop_blocked)
"""Faults that cost no attempt, and after which no step is executed again."""
KILLING: tuple[Fault, ...] = (worker_killed, worker_frozen)
"""Faults after which an attempt may be counted: the step may have killed a process that died, or
that seems to have died.
"""
DISTURBING: tuple[Fault, ...] = (*KILLING, store_read_only, store_restarted, step_scaled, log_cut)


async def strike_all(site: Site, faults: Sequence[Fault], *, rounds: int, pause: float) -> None:
    """Make each fault happen as often as it is named, in a random order, under load.

    Args:
        rounds: How often all of them happen.
        pause: Seconds between two faults, on average.
    """
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(site.load(enough))
        for _ in range(rounds):
            for fault in site.rng.sample(faults, len(faults)):
                await asyncio.sleep(site.rng.uniform(0, 2 * pause))
                await site.strike(fault)
        enough.set()
