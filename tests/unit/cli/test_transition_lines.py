"""`workflow-ray dev` prints each version of each run once, in the order of time."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from rich.text import Text

from tests.unit.parcels import Parcel, Route, RoutedRun
from workflow_ray import Fatal, RunState, Runtime, Workflow
from workflow_ray.cli.transition_lines import Seen, TransitionLines
from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import HistoryEntry, RunId
from workflow_ray.runtime.local import LocalRuntime

VARYING = re.compile(r"^[\d:.]+  |  [\d.]+ m?s(?=  |$)|  run [0-9a-f-]{36}$")
SOON = 20

parcels = Workflow("parcels", Parcel, Route, entry=Route.LOST)


@parcels.step(Route.NEW)
async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
    if run.data.label == "torn":
        raise Fatal("the label is torn\nin two")
    return Route.PACKED


@parcels.step(Route.PACKED)
async def send(run: RoutedRun) -> Literal[Route.SENT]:
    return Route.SENT


@pytest.fixture
def runtime(tmp_path: Path) -> LocalRuntime:
    return Runtime.local(parcels, records=f"memory://{tmp_path}")


def beginning() -> TransitionLines:
    return TransitionLines([parcels], datetime.now(UTC))


def plain(lines: list[Text]) -> list[str]:
    """The lines, without what differs each time."""
    return [VARYING.sub("", line.plain) for line in lines]


async def test_each_version_is_a_line_once_in_the_order_of_time(runtime: LocalRuntime) -> None:
    lines = beginning()
    async with runtime:
        client = runtime.client(parcels)
        for name in ("1", "2"):
            await (await client.trigger(name, Parcel())).wait(timeout=SOON)
        assert plain(await lines.look(runtime.store)) == [
            "parcels 1  NEW",
            "parcels 1  NEW -> PACKED",
            "parcels 1  PACKED -> SENT  COMPLETED",
            "parcels 2  NEW",
            "parcels 2  NEW -> PACKED",
            "parcels 2  PACKED -> SENT  COMPLETED",
        ]
        assert await lines.look(runtime.store) == []


async def test_of_runs_that_there_were_only_new_versions_are_printed(runtime: LocalRuntime) -> None:
    lines = beginning()
    async with runtime:
        client = runtime.client(parcels)
        failed = await client.trigger("1", Parcel(label="torn"))
        await failed.wait_for(Route.NEW)
        await (await client.trigger("2", Parcel())).wait(timeout=SOON)
        while (await failed.get()).run_state is not RunState.PAUSED:
            pass
        await lines.begin(runtime.store)
        assert await lines.look(runtime.store) == []
        await failed.cancel("no more", by="a test")
        assert plain(await lines.look(runtime.store)) == [
            "parcels 1  NEW  CANCELLED  CANCEL: no more"
        ]


async def test_an_error_is_in_red_and_on_one_line(runtime: LocalRuntime) -> None:
    lines = beginning()
    async with runtime:
        handle = await runtime.client(parcels).trigger("1", Parcel(label="torn"))
        while (await handle.get()).run_state is not RunState.PAUSED:
            pass
        _, failed = await lines.look(runtime.store)
    assert failed.plain.endswith("PAUSED  FAILED: Fatal: the label is torn in two")
    assert {str(span.style) for span in failed.spans} == {"dim", "bold", "red"}


async def test_another_process_goes_on_from_what_was_noted(runtime: LocalRuntime) -> None:
    lines, others = beginning(), beginning()
    async with runtime:
        handle = await runtime.client(parcels).trigger("1", Parcel(label="torn"))
        while (await handle.get()).run_state is not RunState.PAUSED:
            pass
        assert len(await lines.look(runtime.store)) == 2
        others.seen = msgspec.json.decode(msgspec.json.encode(lines.seen), type=Seen)
        assert await others.look(runtime.store) == []
        await handle.cancel("no more")
        assert len(await others.look(runtime.store)) == 1


async def test_finished_runs_are_forgotten_after_a_while(runtime: LocalRuntime) -> None:
    lines = beginning()
    async with runtime:
        await (await runtime.client(parcels).trigger("1", Parcel())).wait(timeout=SOON)
        await lines.look(runtime.store)
        assert len(lines.seen.runs) == 1
        lines.seen.newest += timedelta(minutes=1)
        assert await lines.look(runtime.store) == []
        assert lines.seen.runs == {}


async def test_what_a_look_that_fails_has_read_is_left_to_the_next_one(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = beginning()
    async with runtime:
        client, store = runtime.client(parcels), runtime.store
        for name in ("1", "2"):
            await (await client.trigger(name, Parcel())).wait(timeout=SOON)
        history, asked = store.history, list[RunId]()

        async def failing(run_id: RunId, **options: Any) -> list[HistoryEntry]:
            asked.append(run_id)
            if len(set(asked)) == 2:
                raise StoreUnavailable("here", "a test")
            return await history(run_id, **options)

        with monkeypatch.context() as patch:
            patch.setattr(store, "history", failing)
            with pytest.raises(StoreUnavailable):
                await lines.look(store)
        assert len(await lines.look(store)) == 6
