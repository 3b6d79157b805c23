"""Workflows and runs whose data is deleted."""

import msgspec

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, packing
from workflow_ray import Handle, RunState
from workflow_ray.records import MessageQuery, Role, SetAsideQuery, data_group, hooks_group

GROUP = data_group("parcels")
SECRET = "Jane Doe, 5 Elm Street"


def scrubbed() -> tuple[Parcels, list[str]]:
    """A workflow with a scrubber, and what the scrubber was called with."""
    workflow, called = packing(), list[str]()

    @workflow.scrub
    async def scrub(run: ParcelRun) -> Parcel:
        called.append(run.data.label)
        return Parcel(weight=run.data.weight, label="removed")

    return workflow, called


async def data_role(bench: Bench) -> AtWork:
    return await bench.start(Role(GROUP))


async def completed(bench: Bench, workflow: Parcels) -> Handle[Parcel, Stage]:
    """A completed run with a secret."""
    await bench.publisher()
    await bench.consumer(Stage.NEW)
    client = bench.client(workflow)
    labels = {"tenant": "acme"}
    handle = await client.trigger("p-1", Parcel(weight=3, label=SECRET), labels=labels)
    await bench.pass_time()
    assert (await handle.get()).run_state is RunState.COMPLETED
    return handle


async def kept(bench: Bench, handle: Handle[Parcel, Stage]) -> bytes:
    """Everything that is kept of a run."""
    stored = [
        *await bench.store.lookup([handle.run_id]),
        *await bench.store.history(handle.run_id),
        *await bench.store.messages(MessageQuery(run_ids=(handle.run_id,))),
        *await bench.store.results([handle.run_id]),
        *await bench.store.set_aside(SetAsideQuery(group=GROUP)),
        *await bench.store.set_aside(SetAsideQuery(group=hooks_group("parcels"))),
    ]
    return b"".join(
        msgspec.json.encode(list(msgspec.structs.astuple(each)))
        + b"".join(field for field in msgspec.structs.astuple(each) if isinstance(field, bytes))
        for each in stored
        if each is not None
    )
