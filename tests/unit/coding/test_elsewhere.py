"""Where encoded data is met by code that has no codec: the command line, readers and deploys."""

import json
from pathlib import Path

import pytest

from tests.unit.coding.vaults import SECRET, At, Parcel, Vaults, vaults
from workflow_ray import ConnectorEvent, Encryption, TransitionSource, Workflow, new_key
from workflow_ray.cli.data_changes import Unreadable as UnreadableChange
from workflow_ray.cli.data_changes import parsed
from workflow_ray.cli.views import Names, raw
from workflow_ray.coding import coded, undecoded
from workflow_ray.ports import SystemClock
from workflow_ray.records import RunQuery, Version
from workflow_ray.records.encoded import (
    MARK,
    as_text,
    from_text,
    is_encoded,
    readable,
    size_of,
    unreadable,
    why_unreadable,
)
from workflow_ray.runtime.deploying import describe_here
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.stranding import PUT_CODEC_BACK, find_stranded
from workflow_ray.runtime.urls import Urls

AT_HAND = "(it is encoded by 'aes-gcm', a codec that is not at hand here)"


@pytest.fixture
def made(tmp_path: Path) -> Vaults:
    return vaults(tmp_path)


async def test_the_command_line_shows_that_data_is_encoded(made: Vaults) -> None:
    async with LocalRuntime([made.parcels, made.labels], Urls.of("memory://cli")) as runtime:
        handle = await runtime.client(made.parcels).trigger("parcel-1", Parcel())
        await handle.wait_for(At.DELIVERED)
        names = Names(await runtime.store.deployment())
        (record,) = await runtime.store.runs(RunQuery(workflow="parcels"))
        assert json.loads(bytes(raw(record.data))) == AT_HAND
        with pytest.raises(UnreadableChange, match="bytes that can't be read: it is encoded by"):
            parsed(record.data)
        entries = await runtime.store.history(handle.run_id)
        shown = [names.entry("parcels", entry) for entry in entries]
        assert [view.reason for view in shown if view.reason] == [AT_HAND]
        assert SECRET not in repr(shown)
        assert AT_HAND in repr(shown[1].error)


async def test_a_reader_of_transitions_decodes_by_the_definition_alone(made: Vaults) -> None:
    url = "memory://transitions"
    async with LocalRuntime([made.parcels, made.labels], Urls.of(url)) as runtime:
        found: dict[str, list[ConnectorEvent]] = {}
        sources = {
            "defined": TransitionSource(made.parcels, reader="defined", records=url),
            "named": TransitionSource("parcels", reader="named", records=url),
        }
        for source in sources.values():
            async with source.open(clock=SystemClock(), events="") as reader:
                await reader.starts()
        handle = await runtime.client(made.parcels).trigger("parcel-1", Parcel())
        await handle.wait_for(At.DELIVERED)
        for name, source in sources.items():
            async with source.open(clock=SystemClock(), events="") as reader:
                found[name] = await reader.receive(await reader.starts(), limit=1, wait=5)
    (defined,), (named,) = found["defined"], found["named"]
    assert json.loads(defined.data)["content"] == SECRET
    assert "unreadable" not in defined.headers
    assert named.data == b""
    assert f"({named.headers['unreadable']})" == AT_HAND


async def test_a_deploy_reads_what_it_can_and_refuses_to_take_a_codec_away(made: Vaults) -> None:
    async with LocalRuntime([made.parcels, made.labels], Urls.of("memory://deploys")) as runtime:
        handle = await runtime.client(made.parcels).trigger("parcel-1", Parcel())
        await handle.wait_for(At.DELIVERED)
        before = describe_here(made.parcels)
        store = runtime.store
        assert await find_stranded(store, before, before, made.parcels) == []
        without_key = Workflow("parcels", Parcel, At, codec=Encryption([new_key("two")]))
        assert await find_stranded(store, before, before, without_key) == []
        without_codec = Workflow("parcels", Parcel, At)
        (stranded,) = await find_stranded(store, before, before, without_codec)
        assert "encoded by 'aes-gcm', a codec that is not at hand" in str(stranded)
        assert stranded.way_out == PUT_CODEC_BACK  # no change of the model would help


async def test_the_history_is_cut_where_its_decoded_data_is_too_much(made: Vaults) -> None:
    async with LocalRuntime([made.parcels, made.labels], Urls.of("memory://pages")) as runtime:
        client = runtime.client(made.parcels)
        large = Parcel(note="x" * 3_000_000)  # compressed it is small
        for at in range(5):
            await client.trigger(f"parcel-{at}", large)
        query = RunQuery(workflow="parcels")
        assert len(await runtime.store.runs(query)) == 5
        decoding = coded(runtime.store, made.parcels)
        page = await decoding.runs(query)
        assert len(page) == 3
        assert len([run async for run in client.runs()]) == 5
        listed = await undecoded(decoding).runs(query)
        assert len(listed) == 5
        assert all(is_encoded(record.data) for record in listed)
        assert len(await decoding.runs(query)) == 3
        records = await decoding.lookup([record.run_id for record in page], fresh=True)
        assert len(records) == 3
        assert await decoding.history(page[0].run_id, after=Version(1000)) == []


def test_what_looks_encoded_is_told_without_an_error() -> None:
    for data in (MARK, MARK + b"\xff", MARK + b"\3abc", MARK + b"\3\xff\xff\xff" + b"\0" * 9):
        assert why_unreadable(data) == "it is encoded, and damaged"
        assert size_of(data) == len(data)
    assert why_unreadable(b"{}") is None
    assert why_unreadable(unreadable("key 'a' is missing")) == "key 'a' is missing"
    for text in ("", "text", "encoded:", "encoded:!", "encoded:e30="):
        assert from_text(text) is None
        assert readable(text) == text
    assert from_text(as_text(MARK + b"data")) == MARK + b"data"
    assert readable(as_text(unreadable("why"))) == "(why)"
