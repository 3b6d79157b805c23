"""Claim-checks: large data as objects, with references."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has no types
import pytest

from tests.unit.codecs.payloads import RUN, encoded, payload, read
from workflow_ray import ClaimChecks, Unreadable
from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.records import RunId, new_run_id

LARGE = b"x" * 5000


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path}/claims"


def codec_at(place: str) -> ClaimChecks:
    return ClaimChecks(place, above=1000)


core: Any = fsspec.core


def files_at(place: str) -> list[str]:
    files, path = core.url_to_fs(place)
    return sorted(files.find(path))


async def test_large_data_goes_to_an_object_and_small_data_stays(place: str) -> None:
    codec = codec_at(place)
    stored, small = await encoded(codec, payload(LARGE), payload(b"x" * 1000))
    assert small.data == b"x" * 1000
    assert len(stored.data) == 40
    (path,) = files_at(place)
    assert f"/{RUN[-2:]}/{RUN}/" in path
    assert await read(codec_at(place), stored) == LARGE


async def test_a_repeat_writes_the_same_object(place: str) -> None:
    codec = codec_at(place)
    first = await encoded(codec, payload(LARGE))
    assert await encoded(codec, payload(LARGE), payload(LARGE)) == [*first, *first]
    assert len(files_at(place)) == 1


async def test_many_objects_are_written_and_read_in_order(place: str) -> None:
    codec = codec_at(place)
    contents = [bytes([at]) * 3000 for at in range(50)]
    stored = await encoded(codec, *(payload(data, new_run_id()) for data in contents))
    assert len(files_at(place)) == 50
    assert await codec.decode(stored) == contents


async def test_an_object_that_was_changed_or_is_gone_is_refused(place: str) -> None:
    codec = codec_at(place)
    stored, other = await encoded(codec, payload(LARGE), payload(LARGE, new_run_id()))
    files, _ = core.url_to_fs(place)
    paths = {RUN in path: path for path in files_at(place)}
    files.pipe_file(paths[True], LARGE[:-1] + b"y")
    assert await read(codec, stored) == Unreadable("its object was changed")
    files.rm_file(paths[False])
    assert await read(codec, other) == Unreadable("its object does not exist any more")


async def test_the_objects_of_a_run_are_deleted_with_it(place: str) -> None:
    codec = codec_at(place)
    other = new_run_id()
    await encoded(codec, payload(LARGE), payload(LARGE * 2), payload(LARGE, other))
    assert await codec.kept(after=None, limit=10) == sorted([RUN, other])
    await codec.forget([RUN, new_run_id()])
    assert await codec.kept(after=None, limit=10) == [other]
    (path,) = files_at(place)
    assert other in path
    await codec.forget([RUN])  # it may be repeated


async def test_runs_are_listed_page_by_page(place: str) -> None:
    codec = codec_at(place)
    runs = [new_run_id() for _ in range(5)]
    await encoded(codec, *(payload(LARGE, run_id) for run_id in runs))
    first = await codec.kept(after=None, limit=3)
    assert first + await codec.kept(after=first[-1], limit=3) == runs
    assert await codec.kept(after=runs[-1], limit=3) == []


async def test_data_of_no_run_and_data_that_outlives_its_run_stay_in_the_store(place: str) -> None:
    codec = codec_at(place)
    found = await codec.encode([payload(LARGE, RunId("")), payload(LARGE)._replace(outlives=True)])
    assert found == [None, None]
    assert files_at(place) == []


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(StoreUnavailable) as refused:
        await codec_at(f"file://{tmp_path}/claims").encode([payload(LARGE)])
    assert refused.value.transient


async def test_a_place_that_fails_in_its_own_way_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class EndpointConnectionError(Exception):
        """As that of botocore: not an OSError."""

    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError("could not connect")

    codec = codec_at("memory://fails")
    memory: Any = core.url_to_fs("memory://fails")[0].__class__
    monkeypatch.setattr(memory, "pipe_file", fail)
    monkeypatch.setattr(memory, "rm", fail)
    with pytest.raises(StoreUnavailable, match="could not connect"):
        await codec.encode([payload(LARGE)])
    with pytest.raises(StoreUnavailable):
        await codec.forget([RUN])
    with pytest.raises(InvalidInput):
        await codec.forget([RunId("no run")])


async def test_an_unknown_file_system_is_refused() -> None:
    with pytest.raises(InvalidInput, match="fsspec can't open it"):
        await codec_at("nowhere://bucket/prefix").encode([payload(LARGE)])


@pytest.mark.parametrize("wrong", ["claims", "", 7, None, object()])
def test_a_place_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        ClaimChecks(wrong)  # type: ignore[arg-type]  # the wrong ones are the test


async def test_another_place_may_be_used(tmp_path: Path) -> None:
    class Objects:
        def __init__(self) -> None:
            self.written: dict[tuple[RunId, str], bytes] = {}

        async def write(self, objects: Sequence[tuple[RunId, str, bytes]]) -> None:
            self.written |= {(run_id, name): content for run_id, name, content in objects}

        async def read(self, names: Sequence[tuple[RunId, str]]) -> list[bytes | None]:
            return [self.written.get(name) for name in names]

        async def delete(self, run_ids: Sequence[RunId]) -> None:
            self.written.clear()

        async def runs(self, *, after: RunId | None, limit: int) -> list[RunId]:
            return [run_id for run_id, _ in self.written]

    codec = ClaimChecks(Objects(), above=10)
    (stored,) = await encoded(codec, payload(LARGE))
    assert await read(codec, stored) == LARGE
    await codec.forget([RUN])
    assert isinstance(await read(codec, stored), Unreadable)
