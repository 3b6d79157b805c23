"""Compares a store that holds many finished and many waiting runs with an empty store.

python benchmarks/backlog.py --finished 1000000 --waiting 200000 \\
    [--records postgresql://... --empty postgresql://...]

It measures queries, and the throughput of transitions. The throughput is measured in rounds, on the
full and on the empty store in turn, so that other work of the machine disturbs both alike. The CPU
time of a round is that of this process: all of the work with SQLite, the client's part with a
server.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from time import perf_counter, process_time, time

import msgspec

from benchmarks.setting import percentile, report
from benchmarks.workload import TRANSITIONS, Job, JobStatus, check, feed, jobs, wait_for_ends
from workflow_ray import RunState, Runtime
from workflow_ray.engine.runs import first_write
from workflow_ray.ports import Store
from workflow_ray.records import (
    Awaits,
    RunQuery,
    WaitingQuery,
    Write,
    WriteGroup,
    new_run_id,
    new_write_id,
)

BATCH = 2000
LOOKS = 20
"""How often each query is timed."""
CHECKED = 100
"""Runs per round whose history is checked."""


@dataclass
class Throughput:
    """Measures rounds on one store, in seconds per transition."""

    runtime: Runtime
    wall: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])

    async def round(self, runs: int) -> None:
        """Trigger this many runs and wait for their ends."""
        client = self.runtime.client(jobs)
        before = sum(
            count for (_, state), count in (await client.counts()).items() if state.finished
        )
        start, cpu = time(), process_time()
        run_ids = await feed(client, f"round-{len(self.wall)}", runs)
        await wait_for_ends(client, before + runs)
        cpu = process_time() - cpu
        end = max([(await client.get(run_id)).updated_at.timestamp() for run_id in run_ids[-500:]])
        self.wall.append((end - start) / (TRANSITIONS * runs))
        self.cpu.append(cpu / (TRANSITIONS * runs))
        await check(client, run_ids[:: max(1, runs // CHECKED)])


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=200_000)
    parser.add_argument(
        "--runs", type=int, default=2_000, help="of three steps each, in each round"
    )
    parser.add_argument("--rounds", type=int, default=30, help="on each store")
    parser.add_argument(
        "--records",
        default=None,
        help="an empty database, to be filled; default: a new SQLite file",
    )
    parser.add_argument(
        "--empty", default=None, help="another one, to be compared with; default: a new SQLite file"
    )
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    if (chosen.records is None) != (chosen.empty is None):
        parser.error("--records and --empty go together: two databases on the same server")
    records, beside = chosen.records or new_file(), chosen.empty or new_file()
    async with (
        Runtime.local(jobs, records=records) as filled,
        Runtime.local(jobs, records=beside) as unfilled,
    ):
        start = perf_counter()
        await fill(filled.store, finished_runs(chosen.finished))
        await fill(filled.store, waiting_runs(chosen.waiting))
        seconds = perf_counter() - start
        looks = {name: await time_query(look) for name, look in queries_of(filled.store).items()}
        full, empty = Throughput(filled), Throughput(unfilled)
        await compare(full, empty, chosen.runs, chosen.rounds)
    measured: dict[str, object] = {
        "finished": chosen.finished,
        "waiting": chosen.waiting,
        "seconds_to_fill": seconds,
        "rounds": chosen.rounds,
        **{f"{name}_ms": value for name, value in looks.items()},
        "empty_per_second": 1 / median(empty.wall),
        "full_per_second": 1 / median(full.wall),
        "empty_cpu_us": median(empty.cpu) * 1_000_000,
        "full_cpu_us": median(full.cpu) * 1_000_000,
        "full_to_empty": median(empty.wall) / median(full.wall),
        "full_to_empty_best": min(empty.wall) / min(full.wall),
        "full_to_empty_by_cpu": median(empty.cpu) / median(full.cpu),
    }
    report(measured, chosen.json, records=records)


def new_file() -> str:
    return f"sqlite:///{mkdtemp(prefix='workflow-ray-benchmark-')}/benchmark.db"


async def compare(full: Throughput, empty: Throughput, runs: int, rounds: int) -> None:
    """Run rounds on both in turn, each first as often as the other. The first pair warms up."""
    for number in range(rounds + 1):
        for one in (full, empty) if number % 2 else (empty, full):
            await one.round(runs)
    for one in (full, empty):
        del one.wall[0], one.cpu[0]


def finished_runs(count: int) -> Iterator[Write]:
    """Make runs that are complete at their first status; some are cancelled, at another status."""
    for number in range(count):
        write = new_run(number, JobStatus.DONE)
        yield (
            msgspec.structs.replace(write, run_state=RunState.CANCELLED)
            if number % 1000 == 0
            else write
        )


def waiting_runs(count: int) -> Iterator[Write]:
    """Make runs that wait for a message; some of them are paused."""
    for number in range(count):
        write = msgspec.structs.replace(
            new_run(number, JobStatus.PREPARED),
            run_state=RunState.RUNNING,
            awaits=Awaits.MESSAGE,
            asks=False,
            events=(),
        )
        paused = (
            {"run_state": RunState.PAUSED, "awaits": Awaits.NOBODY} if number % 1000 == 0 else {}
        )
        yield msgspec.structs.replace(write, **paused)


def new_run(number: int, status: JobStatus) -> Write:
    data = jobs.encode(Job(number=number))
    return first_write(
        jobs,
        f"filler-{status.name}-{number}",
        data,
        status,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by="benchmark",
    )


async def fill(store: Store, writes: Iterator[Write]) -> None:
    while batch := list(islice(writes, BATCH)):
        await store.store([WriteGroup(writes=tuple(batch))])


def queries_of(store: Store) -> dict[str, Callable[[], Awaitable[object]]]:
    def page(**filters: object) -> Callable[[], Awaitable[object]]:
        return lambda: store.runs(RunQuery(workflow=jobs.name, limit=100, **filters))  # type: ignore[arg-type]  # names of RunQuery's fields

    async def sweep() -> None:
        for partition in range(jobs.partitions):
            await store.waiting(WaitingQuery(workflow=jobs.name, partition=partition, quiet=0.0))

    return {
        "counts": lambda: store.counts(jobs.name),
        "sweep": sweep,
        "page": page(),
        "page_newest_first": page(newest_first=True),
        "page_status_queued": page(statuses=(JobStatus.QUEUED.value,)),
        "page_status_prepared": page(statuses=(JobStatus.PREPARED.value,)),
        "page_status_done": page(statuses=(JobStatus.DONE.value,), newest_first=True),
        "page_paused": page(run_states=(RunState.PAUSED,)),
        "page_cancelled": page(run_states=(RunState.CANCELLED,)),
        "page_initiated": page(run_states=(RunState.INITIATED,)),
        "page_prepared_paused": page(
            statuses=(JobStatus.PREPARED.value,), run_states=(RunState.PAUSED,)
        ),
        "page_done_cancelled": page(
            statuses=(JobStatus.DONE.value,), run_states=(RunState.CANCELLED,)
        ),
        "page_two_statuses": page(statuses=(JobStatus.QUEUED.value, JobStatus.WORKED.value)),
        "page_foreign_id": page(foreign_id="filler-DONE-7"),
    }


async def time_query(look: Callable[[], Awaitable[object]]) -> float:
    """Time a query. Returns the median of several times, in milliseconds."""
    took: list[float] = []
    for _ in range(LOOKS):
        start = perf_counter()
        await look()
        took.append((perf_counter() - start) * 1000)
    return percentile(took, 50)


if __name__ == "__main__":
    asyncio.run(main())
