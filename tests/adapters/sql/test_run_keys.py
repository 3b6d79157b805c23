"""The keys of runs in SQL databases."""

import asyncio
import stat
import threading
from pathlib import Path

import pytest

from workflow_ray import Encryption, Payload, RunKeys, new_key
from workflow_ray.errors import StoreError, StoreUnavailable, UnfitAdapter
from workflow_ray.ports import run_keys_of
from workflow_ray.records import RunId, new_run_id


@pytest.fixture(params=["sqlite", "postgres_url", "mariadb_url"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keys.db"
    url: str = request.getfixturevalue(request.param)
    return url


def new_keys(count: int) -> dict[RunId, bytes]:
    return {new_run_id(): f"key {at}".encode() for at in range(count)}


async def test_keys_are_added_once_read_and_deleted(url: str) -> None:
    keys, given = run_keys_of(url), new_keys(1200)
    assert await keys.add({}) == {}
    assert await keys.get(list(given)) == {}
    assert await keys.add(given) == given
    other = dict.fromkeys(given, b"another one")
    assert await run_keys_of(url).add(other) == given
    unknown = new_run_id()
    assert await keys.get([*given, unknown]) == given
    gone, *rest = given
    await keys.delete([gone, unknown])
    await keys.delete([gone])
    assert await run_keys_of(url).get([gone]) == {}
    assert await keys.get(rest) == {run_id: given[run_id] for run_id in rest}


async def test_keys_are_read_page_by_page(url: str) -> None:
    keys, given = run_keys_of(url), new_keys(5)
    await keys.add(given)
    first = await keys.page(after=None, limit=3)
    assert list(first) == sorted(given)[:3]
    rest = await keys.page(after=max(first), limit=3)
    assert first | rest == given
    assert await keys.page(after=max(given), limit=3) == {}


async def test_only_a_key_that_is_still_the_same_is_replaced(url: str) -> None:
    keys = run_keys_of(url)
    one, other, gone = (new_run_id() for _ in range(3))
    await keys.add({one: b"old", other: b"newer"})
    await keys.replace(dict.fromkeys((one, other, gone), (b"old", b"new")))
    assert await keys.get([one, other, gone]) == {one: b"new", other: b"newer"}


async def test_many_processes_agree_on_the_keys(url: str) -> None:
    run_ids = [new_run_id() for _ in range(50)]
    stores = [run_keys_of(url) for _ in range(5)]
    found = await asyncio.gather(
        *(store.add(dict.fromkeys(run_ids, f"of {at}".encode())) for at, store in enumerate(stores))
    )
    assert all(each == found[0] for each in found)


async def test_the_event_loops_of_several_threads_use_one_object(url: str) -> None:
    keys, given = run_keys_of(url), new_keys(3)
    await keys.add(given)
    found: list[dict[RunId, bytes]] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(keys.get(list(given)))))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert found == [given]
    assert await keys.get(list(given)) == given


async def test_an_encryption_uses_the_database_that_is_named(url: str) -> None:
    codec = Encryption([new_key("one")], run_keys=url)
    run_id = new_run_id()
    plain = Payload("orders", run_id, "data", b"secret")
    (data,) = await codec.encode([plain])
    assert data is not None
    assert await codec.decode([plain._replace(data=data)]) == [b"secret"]
    assert await codec.kept(after=None, limit=10) == [run_id]
    (stored,) = (await run_keys_of(url).get([run_id])).values()
    assert stored.startswith(b"\3one")


async def test_nothing_of_a_deleted_key_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    keys, given = run_keys_of(f"sqlite:///{path}"), new_keys(20)
    await keys.add(given)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(key in path.read_bytes() for key in given.values())
    await keys.delete(list(given))
    assert not any(key in path.read_bytes() for key in given.values())


async def test_a_database_that_cannot_be_used_is_an_error_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_text("this is not a database, but it is long enough to be one")
    with pytest.raises(StoreError):
        await run_keys_of(f"sqlite:///{tmp_path}/keys.db").add(new_keys(1))
    nowhere: RunKeys = run_keys_of("postgresql://nobody@127.0.0.1:1/keys")
    with pytest.raises(StoreUnavailable):
        await nowhere.get([new_run_id()])


def test_a_scheme_without_keys_of_runs_is_refused() -> None:
    with pytest.raises(UnfitAdapter, match="keys of runs"):
        run_keys_of("memory://keys")
