"""Compares each adapter with its bare driver, which makes the same calls with the same parameters.

    python benchmarks/adapters.py --servers --check
    python benchmarks/adapters.py --store postgresql://postgres@127.0.0.1/{one,another}

The adapter works on one store, and the calls to its driver are recorded. The bare driver then
repeats them on another store, in the same run of the benchmark.
"""

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

from benchmarks.bare import bare
from benchmarks.batches import EventBatches, RecordBatches
from benchmarks.setting import machine
from benchmarks.stopwatch import Stopwatch, Timing
from tests.servers import Kafka, MariaDB, Postgres, Redis
from workflow_ray.ports import RecordsAdapter, SystemClock, adapter_for, events_adapter, scheme_of
from workflow_ray.runtime.mixed import MovingStore

SIZES = (1, 500)
LIMIT = 1.5
"""The largest ratio of an adapter's time to its bare driver's, at the largest size."""
WARM_UP = 3
"""Rounds that are not counted: they prepare statements and fill caches."""
COLUMNS = "{:<12}{:<16}{:>6}{:>13}{:>10}{:>8}"


def main() -> None:
    chosen = options()
    print(COLUMNS.format("", "", "size", "adapter ms", "bare ms", "ratio"))
    beyond = 0
    with stores(chosen.store, chosen.servers) as pairs:
        for url, twin in pairs:
            for timing in asyncio.run(measure(url, twin, chosen.rounds)):
                show(scheme_of(url), timing)
                beyond += timing.size == max(SIZES) and timing.ratio > LIMIT
    print(f"Medians of {chosen.rounds} rounds. {machine()}.")
    if chosen.check and beyond:
        sys.exit(
            f"At {max(SIZES)}, {beyond} take more than {LIMIT} times as long as their bare driver."
        )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--servers",
        action="store_true",
        help="start PostgreSQL, MariaDB, Redis and Kafka, and measure on them too",
    )
    parser.add_argument(
        "--store",
        nargs=2,
        action="append",
        default=[],
        metavar=("URL", "TWIN"),
        help="measure on these too: two empty stores of a kind",
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="how often each is timed (default: %(default)s)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"exit with 1 where a ratio at {max(SIZES)} is above {LIMIT}",
    )
    return parser.parse_args()


def show(store: str, timing: Timing) -> None:
    numbers = f"{timing.adapter_ms:,.2f}", f"{timing.bare_ms:,.2f}", f"{timing.ratio:.2f}"
    print(COLUMNS.format(store, timing.what, timing.size, *numbers), flush=True)


@contextmanager
def stores(given: Sequence[tuple[str, str]], servers: bool) -> Generator[list[tuple[str, str]]]:
    """Provide the stores to measure, each with its twin for the bare driver.

    They are SQLite, those given, and with `servers` one on each kind of server, started here.
    """
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="workflow-ray-benchmark-"))
        )
        folder.chmod(0o755)  # servers run as other users
        pairs = [(f"sqlite:///{folder}/one.db", f"sqlite:///{folder}/twin.db"), *given]
        if servers:
            postgres, mariadb = (
                stack.enter_context(Postgres(folder)),
                stack.enter_context(MariaDB(folder)),
            )
            redis, kafka = stack.enter_context(Redis(folder)), stack.enter_context(Kafka(folder))
            pairs += [
                (
                    stack.enter_context(postgres.database("one")),
                    stack.enter_context(postgres.database("twin")),
                ),
                (
                    stack.enter_context(mariadb.database("one")),
                    stack.enter_context(mariadb.database("twin")),
                ),
                (stack.enter_context(redis.database(1)), stack.enter_context(redis.database(2))),
                (kafka.url, kafka.url),  # sending the same events twice does no harm there
            ]
        yield pairs


async def measure(url: str, twin: str, rounds: int) -> list[Timing]:
    """Measure every operation of the adapter, at each size this many times."""
    driver = bare(scheme_of(url))
    for place in (url, twin):
        await asyncio.to_thread(adapter_for(place).create, place)
    with driver.recording() as calls:
        async with open_batches(url) as batches:
            await batches.begin()
            async with driver.repeating(url, twin, calls) as repeat:
                watch = Stopwatch(calls, repeat)
                # collect between the rounds only: actors, where adapters run, collect seldom too
                gc.disable()
                for _ in range(WARM_UP + rounds):
                    gc.collect()
                    for size in SIZES:
                        await batches.round(size, watch)
    return watch.timings(without=WARM_UP)


@asynccontextmanager
async def open_batches(url: str) -> AsyncGenerator[RecordBatches | EventBatches]:
    """Open the store of this URL, and provide the load that fits its adapter."""
    adapter, clock = adapter_for(url), SystemClock()
    if isinstance(adapter, RecordsAdapter):
        async with adapter.open_records(url, clock=clock, exclusive=not adapter.shared) as records:
            yield RecordBatches(
                cast(MovingStore, records)
            )  # each of our stores holds records, events and timeouts
    else:
        async with events_adapter(url).open_events(url, clock=clock) as events:
            yield EventBatches(events)


if __name__ == "__main__":
    main()
