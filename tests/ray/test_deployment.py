"""Deploying on Ray: starting, finding and ending actors."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.ray.conftest import Deployment, check_history, down, ended, eventually
from tests.ray.flows import Letter, LetterStatus, Parcel, ParcelStatus, letters, parcels
from workflow_ray import Run, Runtime, Trigger, Workflow, connect
from workflow_ray.definition import load
from workflow_ray.errors import (
    InvalidDefinition,
    InvalidInput,
    NotImportable,
    RuntimeUnavailable,
    StatusRenumbered,
    StoreInUse,
)
from workflow_ray.ports import OutboxMover
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.deployment import RayRuntime
from workflow_ray.runtime.ray.stores import Route
from workflow_ray.runtime.urls import Urls, place_of

SOON = timedelta(seconds=20)
ROLES = [
    "outbox-publisher-1-of-1",
    "parcels-1-consumer-1-of-2",
    "parcels-1-consumer-2-of-2",
    "parcels-2-consumer-1-of-1",
    "parcels-3-consumer-1-of-1",
    "parcels-bulk-1-of-1",
    "parcels-data-1-of-1",
]


async def test_a_run_goes_through_all_its_steps(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        handle = await runtime.client(parcels).trigger("parcel", Parcel())
        run = await handle.wait_for(ParcelStatus.SENT, timeout=SOON)
        assert run.data.steps == ["weigh", "pack", "send"]
        running = [one.name for one in await runtime.status() if one.is_running]
    assert running == ["supervisor", *ROLES, "store", "sweeper-1-of-1"]


@pytest.mark.parametrize("route", ["ipc", "calls"])
async def test_both_ways_to_the_store_carry_the_work(deployment: Deployment, route: Route) -> None:
    async with RayRuntime([parcels], Urls.of(deployment.records), route=route) as runtime:
        client = runtime.client(parcels)
        for number in range(20):
            await client.trigger(f"parcel-{number}", Parcel())
        for number in range(20):
            await client.handle((await client.latest(f"parcel-{number}")).run_id).wait(timeout=SOON)
        await check_history(client, 20)


async def test_events_and_timeouts_may_be_elsewhere(deployment: Deployment, tmp_path: Path) -> None:
    events, timeouts = (f"sqlite:///{tmp_path}/{what}.db" for what in ("events", "timeouts"))
    async with Runtime.ray(
        parcels, records=deployment.records, events=events, timeouts=timeouts
    ) as runtime:
        assert not isinstance(runtime.store, OutboxMover)
        client = runtime.client(parcels)
        for handle, _ in await client.trigger_many(
            Trigger(f"parcel-{number}", Parcel()) for number in range(20)
        ):
            await handle.wait(timeout=SOON)
        await check_history(client, 20)
    with pytest.raises(
        RuntimeUnavailable,
        match=r"works on .*, events on .*events\.db, timeouts on .*, not on .*; end it first",
    ):
        async with Runtime.ray(parcels, records=deployment.records):
            pass


@pytest.mark.server
async def test_on_a_server_no_password_is_said(
    ray_head: None, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The tests' server accepts any password."""
    url = postgres_url.replace("postgres@", "postgres:pass-phrase@")
    async with Runtime.ray(parcels, records=url) as runtime:
        handle = await runtime.client(parcels).trigger("parcel", Parcel())
        run = await handle.wait(timeout=SOON)
        assert run.data.steps == ["weigh", "pack", "send"]
        said = f"{runtime!r} {runtime.store!r} {await runtime.status()} {caplog.text}"
    assert "pass-phrase" in url
    assert "pass-phrase" not in said
    assert await down(url)


async def test_starting_twice_finds_what_runs(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as first:
        before = {one.name: one.pid for one in await first.status()}
    async with Runtime.ray(parcels, records=deployment.records) as second:
        assert {one.name: one.pid for one in await second.status()} == before


async def test_a_driver_that_is_killed_stops_nothing(deployment: Deployment) -> None:
    with deployment.driver(runs=1_000_000):
        await eventually(deployment.has_runs, "the driver feeds nothing")
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        handle = await runtime.client(parcels).trigger("after", Parcel())
        await handle.wait_for(ParcelStatus.SENT, timeout=SOON)
        assert all(one.failures == 0 for one in await runtime.status())


async def test_a_client_without_ray_talks_to_what_runs_on_it(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records):
        pass
    async with connect(parcels, records=deployment.records) as client:
        handle = await client.trigger("parcel", Parcel())
        assert (await handle.wait(timeout=SOON)).status is ParcelStatus.SENT


async def test_deploying_another_workflow_does_not_touch_the_first(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        before = {one.name: one.pid for one in await runtime.status()}
    async with Runtime.ray(letters, records=deployment.records) as runtime:
        handle = await runtime.client(letters).trigger("letter", Letter())
        await handle.wait_for(LetterStatus.POSTED, timeout=SOON)
        after = {one.name: one.pid for one in await runtime.status()}
    own = {"letters-1-consumer-1-of-1", "letters-bulk-1-of-1", "letters-data-1-of-1"}
    assert after == before | {name: after[name] for name in own}


async def test_another_number_of_shards_replaces_the_roles_of_that_step(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(_written(tmp_path, shards=1), records=deployment.records) as runtime:
        before = {one.name: one.pid for one in await runtime.status()}
    async with Runtime.ray(_written(tmp_path, shards=3), records=deployment.records) as runtime:
        await eventually(
            lambda: _gone(deployment, "scaled-1-consumer-1-of-1"), "the old shard stays"
        )
        after = {one.name: one.pid for one in await runtime.status() if one.is_running}
    shards = {f"scaled-1-consumer-{shard}-of-3" for shard in (1, 2, 3)}
    assert set(after) == set(before) - {"scaled-1-consumer-1-of-1"} | shards
    # its module has changed too
    assert after["scaled-2-consumer-1-of-1"] != before["scaled-2-consumer-1-of-1"]


async def test_steps_run_the_code_that_was_deployed_last(
    deployment: Deployment, tmp_path: Path
) -> None:
    for say in ("before", "after"):
        written = _written(tmp_path, shards=1, say=say)
        async with Runtime.ray(written, records=deployment.records) as runtime:
            handle = await runtime.client(written).trigger(say, Letter())
            run = await handle.wait(timeout=SOON)
            assert run.data.text == say


async def test_down_leaves_no_actor_and_no_process(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        pids = [one.pid for one in await runtime.status() if one.pid]
        namespace = actors.namespace_of(place_of(deployment.records))
    assert await down(deployment.records)
    assert actors.names(namespace) == []
    await eventually(lambda: ended(pids), "some process stays")
    assert not await down(deployment.records)


async def test_what_was_under_way_goes_on_after_down_and_up_again(deployment: Deployment) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client = runtime.client(parcels)
        run_ids = [
            (await client.trigger(f"parcel-{number}", Parcel())).run_id for number in range(100)
        ]
        await runtime.down()
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client = runtime.client(parcels)
        for run_id in run_ids:
            await client.handle(run_id).wait(timeout=SOON)
        await check_history(client, 100)


async def test_what_cannot_be_deployed_starts_nothing(deployment: Deployment) -> None:
    with pytest.raises(InvalidDefinition):
        async with Runtime.ray(Workflow("empty", Parcel, ParcelStatus), records=deployment.records):
            pass
    with pytest.raises(InvalidInput, match="is kept by one process, and several would use it"):
        async with Runtime.ray(parcels, records="memory://"):
            pass
    assert await deployment.actors() == {}


async def test_records_that_another_process_works_on_are_refused(deployment: Deployment) -> None:
    async with Runtime.local(parcels, records=deployment.records):
        with pytest.raises(StoreInUse):
            async with Runtime.ray(parcels, records=deployment.records):
                pass
    assert await deployment.actors() == {}


async def test_two_drivers_that_deploy_at_once_share_one_deployment(deployment: Deployment) -> None:
    with deployment.driver(runs=100) as first, deployment.driver(runs=100) as second:
        await asyncio.gather(asyncio.to_thread(first.wait), asyncio.to_thread(second.wait))
        assert (first.returncode, second.returncode) == (0, 0)
    async with connect(parcels, records=deployment.records) as client:
        await check_history(client, 100)


async def test_a_renumbered_status_is_refused_and_what_runs_stays(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(_written(tmp_path, shards=1), records=deployment.records) as runtime:
        before = await runtime.status()
    with pytest.raises(StatusRenumbered):
        async with Runtime.ray(_written(tmp_path, shards=1, last=4), records=deployment.records):
            pass
    assert list((await deployment.actors()).values()) == before


async def test_a_definition_that_roles_cannot_import_is_the_drivers_error(
    deployment: Deployment, tmp_path: Path
) -> None:
    workflow = _written(tmp_path, shards=1)
    (tmp_path / f"{workflow.module}.py").write_text("raise RuntimeError('no licence')")
    with pytest.raises(
        RuntimeUnavailable, match=r"scaled-.* does not come up.*RuntimeError: no licence"
    ):
        async with Runtime.ray(workflow, records=deployment.records):
            pass


async def test_a_workflow_without_a_name_in_its_module_is_refused(deployment: Deployment) -> None:
    hidden = Workflow("hidden", Letter, LetterStatus)

    @hidden.step(LetterStatus.WRITTEN)
    async def post(run: Run[Letter, LetterStatus]) -> Literal[LetterStatus.POSTED]:
        return LetterStatus.POSTED

    with pytest.raises(NotImportable):
        async with Runtime.ray(hidden, records=deployment.records):
            pass
    assert await deployment.actors() == {}


SCALED = """
from typing import Literal
from workflow_ray import Run, Status, Workflow
from tests.ray.flows import Letter

class S(Status):
    A, B, C = 1, 2, {last}

scaled = Workflow("scaled", Letter, S)

@scaled.step(S.A, shards={shards})
async def first(run: Run[Letter, S]) -> Literal[S.B]:
    run.data.text = "{say}"
    return S.B

@scaled.step(S.B)
async def second(run: Run[Letter, S]) -> Literal[S.C]:
    return S.C
{padding}
"""


def _written(folder: Path, shards: int, last: int = 3, say: str = "") -> Workflow[Any, Any]:
    """Write a module, and return its workflow."""
    name = "".join(letter if letter.isalnum() else "_" for letter in folder.name)
    # another length: the cache of the last one is not taken for it
    padding = "#" * (10 * shards + last + 100 * len(say))
    (folder / f"{name}.py").write_text(
        SCALED.format(shards=shards, last=last, say=say, padding=padding)
    )
    sys.modules.pop(name, None)
    return load(f"{name}:scaled", [str(folder)])


async def _gone(deployment: Deployment, name: str) -> bool:
    return name not in await deployment.actors()
