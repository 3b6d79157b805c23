"""Finds runs by the beginnings of their run ids."""

import pytest

from workflow_ray.cli.run_references import RunReferences
from workflow_ray.errors import AmbiguousRun, RunNotFound
from workflow_ray.records import RunId
from workflow_ray.testing import FakeClock
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.memory import MemoryStore

IDS = [
    "01a217b5-6aa1-7437-be95-1b4f62105680",
    "01a217b5-6aa1-7437-be95-1b4f62105681",
    "01a217b5-6aa1-7437-c000-000000000000",
    "01a217b5-6aa1-7437-ffff-ffffffffffff",
]


@pytest.fixture
async def references() -> RunReferences:
    store = MemoryStore(FakeClock())
    await store_all(store, *(new_run(run_id=RunId(text), workflow="routed") for text in IDS))
    return RunReferences(store, ["routed"])


@pytest.mark.parametrize("run_id", IDS)
async def test_each_beginning_that_only_one_run_has_finds_it(
    references: RunReferences, run_id: str
) -> None:
    others = [other for other in IDS if other != run_id]
    for length in range(6, len(run_id) + 1):
        start = run_id[:length]
        if any(other.startswith(start) for other in others):
            with pytest.raises(AmbiguousRun):
                await references.find(start)
        else:
            assert (await references.find(start.upper())).run_id == run_id


@pytest.mark.parametrize(
    "text",
    ["01a21", "01a217b5x", "01a217-b5", "000000", "01a217b5-6aa1-7437-be95-1b4f6210568a", "------"],
)
async def test_other_texts_find_no_run(references: RunReferences, text: str) -> None:
    with pytest.raises(RunNotFound):
        await references.find(text)
