"""Children that end in random order while holders stop and die: each end is told once."""

from collections import Counter
from random import Random
from typing import Literal

import pytest

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel
from tests.unit.roles.shipments import Box, BoxRun, Shipment, ShipmentRun
from workflow_ray import Cancel, Children, Repeat, Retry, Workflow
from workflow_ray.records import Cause, RunQuery

PARENTS = 6
RETRY = Retry(attempts=1000, backoff=0.5)


@pytest.mark.parametrize("seed", range(6))
async def test_each_end_of_a_child_is_told_once(seed: int) -> None:
    random = Random(seed)
    boxes = Workflow("boxes", Parcel, Box, entry=tuple(Box), partitions=2)
    shipments = Workflow("shipments", Parcel, Shipment, entry=tuple(Shipment), partitions=2)
    gathered = Counter[str]()

    @boxes.step(Box.PACKED, retry=RETRY)
    async def send(run: BoxRun) -> Literal[Box.SENT] | Cancel | Repeat:
        if random.random() < 0.3:
            raise ValueError("broken")
        return random.choice((Box.SENT, Cancel("lost"), Repeat(random.random() * 5)))

    @shipments.step(Shipment.NEW, retry=RETRY)
    async def ship(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
        for number in range(random.randrange(6)):
            run.start(boxes, f"{run.foreign_id}-{run.visit}-{number}", Parcel())
        if random.random() < 0.3:
            raise ValueError("broken")
        return Shipment.UNDER_WAY

    @shipments.children(Shipment.UNDER_WAY, boxes, retry=RETRY)
    async def every(
        run: ShipmentRun, children: Children[Parcel, Box]
    ) -> Literal[Shipment.NEW, Shipment.DELIVERED]:
        names = [child.foreign_id async for child in children]
        if random.random() < 0.3:
            raise ValueError("broken")
        assert len(names) == children.started == children.completed + children.cancelled
        run.data.label += "".join(f"{name} " for name in names)
        run.data.weight += 1
        return Shipment.DELIVERED if run.data.weight == 3 else Shipment.NEW

    async with Bench(shipments, boxes) as bench:
        await bench.publisher()
        client = bench.client(shipments)
        handles = [await client.trigger(f"s{number}", Parcel()) for number in range(PARENTS)]
        consumers = await bench.all_consumers()
        for _ in range(20):
            consumers = [await _disturbed(random, bench, each) for each in consumers]
            await bench.pass_time(random.choice((0, 0.2, 1)))
        await bench.pass_time(400)
        for handle in handles:
            run = await handle.get()
            assert run.status is Shipment.DELIVERED
            told = run.data.label.split()
            gathered.update(told)
            causes = Counter(await bench.causes(handle.run_id))
            assert causes[Cause.CHILDREN] == 3
        assert set(gathered.values()) <= {1}
        query = RunQuery(workflow="boxes", limit=1000)
        started = [record.foreign_id for record in await bench.store.runs(query)]
        assert sorted(started) == sorted(gathered)


async def _disturbed(random: Random, bench: Bench, consumer: AtWork) -> AtWork:
    """Kill a consumer, stop it, or leave it alone. Returns the one that works then."""
    match random.choice(("", "", "kill", "leave", "lose")):
        case "kill":
            await consumer.kill()
        case "leave":
            await consumer.leave()
        case "lose":
            await consumer.lose()
        case _:
            return consumer
    return await bench.start(consumer.role)
