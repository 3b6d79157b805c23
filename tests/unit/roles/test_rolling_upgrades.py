"""Older and newer code on one store, in random rollouts."""

import asyncio
import random
from typing import Any

from tests.unit.bench import Bench
from tests.unit.roles.rolling import (
    Grams,
    Kilograms,
    Leg,
    NewRun,
    check_versions,
    new_code,
    old_code,
)
from workflow_ray import RunState
from workflow_ray.records import Cause


async def test_in_random_rollouts_every_run_ends_with_new_data_and_none_is_paused() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    old, new = old_code(), new_code()
    statuses = (Leg.PICKED, Leg.PACKED, Leg.WEIGHED)
    async with Bench(old) as bench:
        await bench.publisher()
        at_work = {status: await bench.consumer(status) for status in statuses}
        runs = list[Any]()
        for number in range(60):
            match rng.randrange(4):
                case 0:
                    client = bench.client(old)
                    runs.append(await client.trigger(f"{number}", Kilograms(weight=number)))
                case 1:
                    other = bench.client(new)
                    runs.append(await other.trigger(f"{number}", Grams(grams=number * 1000)))
                case 2:  # a role moves to a worker with other code
                    status = rng.choice(statuses)
                    end = at_work[status].kill if rng.random() < 0.5 else at_work[status].leave
                    await end()
                    bench.workflows = (rng.choice((old, new)),)
                    at_work[status] = await bench.consumer(status)
                case _:
                    await bench.pass_time(rng.random() * 10)
        for status in statuses:
            await at_work[status].leave()
        bench.workflows = (new,)
        for status in statuses:
            await bench.consumer(status)
        await bench.pass_time(120)
        paid = new.checked().callback("paid")
        assert paid is not None
        for each in runs:
            handle = bench.client(new).handle(each.run_id)
            calling = asyncio.create_task(handle.callback(paid.function, 1))
            await bench.pass_time(1)
            run: NewRun = await calling
            assert (run.status, run.run_state) == (Leg.PAID, RunState.COMPLETED)
            assert run.data.grams == int(run.foreign_id) * 1000
            assert [text.split()[1] for text in run.data.seen] == ["pick", "weigh", "paid"]
            entries = await bench.store.history(each.run_id)
            check_versions(entries)
            assert entries[-1].data_version == 2
            assert not {Cause.PAUSE, Cause.FAILED, Cause.RETRY} & {each.cause for each in entries}
