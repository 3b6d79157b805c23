"""The transitions of another workflow, as the source of a connector."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import (
    Client,
    ConnectorEvent,
    Repeat,
    RunState,
    Runtime,
    Status,
    TransitionSource,
    Workflow,
)
from workflow_ray.errors import UnknownWorkflow
from workflow_ray.ports import SystemClock
from workflow_ray.records import Arrivals, readers_group, status_topic
from workflow_ray.roles import trimming
from workflow_ray.runtime.deploying import describe_here
from workflow_ray.runtime.transition_reader import TransitionReader
from workflow_ray.runtime.transition_topics import topics_of


def shipped() -> Parcels:
    """A run repeats its step once, and a hook asks for its end."""
    workflow = parcels(partitions=2)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        run.data.weight += 1
        return Stage.DONE if run.data.weight > 1 else Repeat(0)

    @workflow.on_complete
    async def thank(run: ParcelRun) -> None: ...

    return workflow


def reader_of(bench: Bench, name: str = "test") -> TransitionReader:
    deployed = describe_here(bench.workflow)
    topics = topics_of(deployed)
    return TransitionReader(deployed, topics, name, bench.whole, bench.whole, bench.clock)


async def everything(reader: TransitionReader) -> list[ConnectorEvent]:
    offsets, found = await reader.starts(), list[ConnectorEvent]()
    while events := await reader.receive(offsets, limit=10, wait=0):
        found += events
        offsets |= {event.partition: event.offset + 1 for event in events}
    return found


@pytest.mark.parametrize("apart", [False, True])
async def test_each_transition_is_one_event_with_the_data_of_its_version(apart: bool) -> None:
    workflow = shipped()
    async with Bench(workflow, apart=apart) as bench:
        reader = reader_of(bench)
        await reader.starts()
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = await bench.client(workflow).trigger("order-1", Parcel(label="x"))
        await bench.pass_time(1)
        events = sorted(await everything(reader), key=lambda event: event.id)
        assert [event.id for event in events] == [f"{handle.run_id}-1", f"{handle.run_id}-3"]
        assert {event.key for event in events} == {"order-1"}
        weights = [Parcel.model_validate_json(event.data).weight for event in events]
        assert weights == [0, 2]
        headers = [(each.headers["status"], each.headers["run_state"]) for each in events]
        assert headers == [("NEW", "INITIATED"), ("DONE", "COMPLETED")]


async def test_events_are_kept_until_each_reader_has_read_them() -> None:
    workflow = shipped()
    topic = status_topic("parcels", Stage.NEW.value)
    async with Bench(workflow) as bench:
        reader = reader_of(bench)
        starts = await reader.starts()
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        for number in range(20):
            await bench.client(workflow).trigger(f"order-{number}", Parcel(weight=1))
        await bench.pass_time(5 * trimming.OFTEN)
        assert len(await bench.received(Stage.NEW)) == 20
        await reader.committed(await reader.ends(starts))
        await bench.pass_time(2 * trimming.SELDOM)
        assert await bench.received(Stage.NEW) == []
        assert len(await bench.whole.positions(readers_group(topic))) == 2


async def test_a_reader_that_was_forgotten_keeps_nothing_until_it_begins_again() -> None:
    workflow = shipped()
    async with Bench(workflow) as bench:
        await reader_of(bench).starts()
        await reader_of(bench).forget()
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.client(workflow).trigger("order-1", Parcel(weight=1))
        await bench.pass_time(5 * trimming.OFTEN)
        assert await bench.received(Stage.NEW) == []
        await reader_of(bench).starts()
        await bench.client(workflow).trigger("order-2", Parcel(weight=1))
        await bench.pass_time(5 * trimming.OFTEN)
        assert len(await bench.received(Stage.NEW)) == 1


class AuditStatus(Status):
    SEEN = 1


class Audit(BaseModel):
    what: str


async def test_a_connector_follows_a_workflow_of_the_same_file(tmp_path: Path) -> None:
    workflow, file = shipped(), tmp_path / "shop.db"
    audits = Workflow("audits", Audit, AuditStatus)

    @audits.connector("parcels", TransitionSource(workflow, reader="audits", records=file))
    async def on_parcel(client: Client[Audit, AuditStatus], event: ConnectorEvent) -> None:
        await client.trigger(event.id, Audit(what=event.headers["run_state"]))

    async with Runtime.local(workflow, audits, records=file) as runtime:
        handle = await runtime.client(workflow).trigger("order-1", Parcel(weight=1))
        await handle.wait()
        client = runtime.client(audits)
        async with asyncio.timeout(30):
            while len(runs := [run async for run in client.runs()]) < 2:
                await asyncio.sleep(0.01)
        assert {run.data.what for run in runs} == {"INITIATED", "COMPLETED"}
        assert {run.run_state for run in runs} == {RunState.COMPLETED}


async def test_a_workflow_that_is_not_deployed_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with Runtime.local(shipped(), records=file):
        source = TransitionSource("orders", reader="test", records=file)
        with pytest.raises(UnknownWorkflow):
            async with source.open(clock=SystemClock(), events=""):
                pass


async def test_a_log_that_lost_its_events_is_waited_for_without_haste(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Bench(shipped()) as bench:
        reader = reader_of(bench)
        receive, calls = bench.whole.receive, list[float]()

        async def counting(*values: Any, wait: float, **others: Any) -> Arrivals:
            calls.append(wait)
            return await receive(*values, wait=wait, **others)

        monkeypatch.setattr(bench.whole, "receive", counting)
        offsets = dict.fromkeys(await reader.starts(), 5)
        receiving = asyncio.create_task(reader.receive(offsets, limit=10, wait=10))
        await bench.pass_time()
        asked = len(calls)
        await bench.pass_time()
        assert len(calls) == asked
        await bench.pass_time(10)
        assert await receiving == []
