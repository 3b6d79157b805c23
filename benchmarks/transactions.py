"""Measures what transactions with the user's own tables cost: a transactional step beside a plain
one, and a trigger within a session's transaction beside one of its own.

python benchmarks/transactions.py --runs 500
"""

import asyncio
from time import perf_counter

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from benchmarks import floor
from benchmarks.bookings import INSERT, Booking, BookingStatus, shared, transactional
from benchmarks.setting import deploy_workload, options, percentile, report
from workflow_ray import Client, Trigger

BookingClient = Client[Booking, BookingStatus]
WARM_UP = 20
"""Triggers that are not counted."""


async def in_order(client: BookingClient, runs: int) -> float:
    """Return the median of the milliseconds of runs that begin one after another."""
    took = list[float]()
    for number in range(runs):
        began = perf_counter()
        handle = await client.trigger(f"alone-{number}", Booking(number=number))
        await handle.wait()
        took.append(perf_counter() - began)
    return 1000 * percentile(took[WARM_UP:], 50)


async def at_once(client: BookingClient, runs: int) -> float:
    """Return how many runs end in a second that are triggered at once."""
    began = perf_counter()
    started = await client.trigger_many(
        [Trigger(f"together-{number}", Booking(number=number)) for number in range(runs)]
    )
    await asyncio.gather(*(handle.wait() for handle, _ in started))
    return runs / (perf_counter() - began)


async def triggered(client: BookingClient, session: Session | None, runs: int) -> float:
    """Return the median of the milliseconds of triggers, within a session's transaction or not."""
    took = list[float]()
    for number in range(WARM_UP + runs):
        name = f"{'own' if session is None else 'within'}-{number}"
        began = perf_counter()
        if session is not None:
            session.execute(INSERT, {"number": number})
        await client.trigger(name, Booking(number=number), within=session)
        if session is not None:
            session.commit()
        took.append(perf_counter() - began)
    return 1000 * percentile(took[WARM_UP:], 50)


async def main() -> None:
    chosen = options(__doc__ or "", runs=500)
    measured: dict[str, object] = {"runs": chosen.runs}
    async with deploy_workload("local", shared, transactional) as runtime:
        engine = create_engine(runtime.urls.records)
        with Session(engine) as session:
            session.execute(text("CREATE TABLE bookings (number INTEGER)"))
            session.commit()
            for name, workflow in (("plain", shared), ("transactional", transactional)):
                client = runtime.client(workflow)
                measured[f"p50_ms_{name}"] = await in_order(client, chosen.runs)
                measured[f"runs_per_second_{name}"] = await at_once(client, chosen.runs)
            client = runtime.client(shared)
            measured["trigger_ms"] = await triggered(client, None, chosen.runs)
            measured["trigger_within_ms"] = await triggered(client, session, chosen.runs)
        engine.dispose()
    report({**measured, "bare_commit_ms": floor.commit_ms()}, chosen.json)


if __name__ == "__main__":
    asyncio.run(main())
