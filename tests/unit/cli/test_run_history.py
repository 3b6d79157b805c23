"""`runs history --data`: a diff for each version, read page by page, whatever it holds."""

import json
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from workflow_ray.cli import run_history
from workflow_ray.cli.run_history import CHANGES, entry_views, print_at_length
from workflow_ray.cli.views import Names
from workflow_ray.records import HistoryEntry, Record, RunId, Version
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    deploy,
    new_run,
    step,
    store_all,
    stored,
    workflow,
)
from workflow_ray_adapters.memory.store import MemoryStore


class PagedStore(MemoryStore):
    """Notes the pages that are read."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.pages: list[int] = []

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        page = await super().history(run_id, after=after, limit=limit)
        self.pages.append(len(page))
        return page


async def run_with(store: MemoryStore, datas: Sequence[bytes | None]) -> Record:
    """A run of so many versions, with this data each; None: as in the version before."""
    await deploy(store, workflow())
    write = new_run(data=datas[0] or b"{}")
    await store_all(store, write)
    for data in datas[1:]:
        write = replace(step(write, data=data), status=1)
        await store_all(store, write)
    return await stored(store, write.run_id)


async def printed(
    store: MemoryStore, record: Record, capsys: pytest.CaptureFixture[str], *, as_json: bool = False
) -> str:
    names = Names(await store.deployment())
    await print_at_length(store, names, record, data=True, as_json=as_json)
    return capsys.readouterr().out


async def test_each_version_tells_what_it_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    store = PagedStore()
    record = await run_with(store, [b'{"total":40}', b'{"total":45}', None, b'{"paid":true}'])
    lines = (await printed(store, record, capsys)).splitlines()
    assert [line.strip() for line in lines if not line[0].isdigit()] == [
        "+ total: 40",
        "total: 40 -> 45",
        "+ paid: true",
        "- total: 45",
    ]
    assert [line.split()[:2] for line in lines if line[0].isdigit()] == [
        [str(version), "CREATED"] for version in (1, 2, 3, 4)
    ]


async def test_a_long_history_is_read_page_by_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "PAGE", 3)
    store = PagedStore()
    record = await run_with(store, [f'{{"total":{at}}}'.encode() for at in range(8)])
    text = await printed(store, record, capsys)
    assert store.pages == [3, 3, 2, 0]
    assert "total: 6 -> 7" in text
    views = await entry_views(store, Names(await store.deployment()), record)
    assert [view.version for view in views] == list(range(1, 9))
    raw = json.loads(await printed(store, record, capsys, as_json=True))
    assert [entry["data"] for entry in raw] == [{"total": at} for at in range(8)]


async def test_data_that_cannot_be_read_spoils_no_other_version(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = PagedStore()
    record = await run_with(store, [b'{"total":40}', b"{damaged", b'{"total":45}'])
    text = await printed(store, record, capsys)
    assert "8 bytes that can't be read" in text
    assert "all of it, because the previous version can't be read" in text
    assert "+ total: 45" in text
    raw = json.loads(await printed(store, record, capsys, as_json=True))
    assert [entry["data"] for entry in raw] == [{"total": 40}, "{damaged", {"total": 45}]


async def test_of_very_many_changes_some_are_shown_and_the_others_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = PagedStore()
    data = json.dumps({"lines": list(range(CHANGES + 7))}).encode()
    record = await run_with(store, [b'{"lines":[]}', data])
    text = await printed(store, record, capsys)
    assert text.count("+ lines[") == CHANGES
    assert "and 7 more changes" in text
