"""What happens when something else lies where a store should be."""

import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from workflow_ray.errors import (
    InvalidInput,
    NotAStore,
    StoreFull,
    StoreMismatch,
    StoreMissing,
    StoreReadOnly,
    StoreTooNew,
)
from workflow_ray.ports import SystemClock, adapter_for
from workflow_ray.records import Stored, Version
from workflow_ray.runtime.urls import records_url
from workflow_ray.testing.conformance.runs import new_run, store_all, stored
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.sqlite.database import SqliteDatabase

from .conftest import Opener

NOBODY = 65534


def test_a_sqlite_url_finds_the_adapter() -> None:
    assert isinstance(adapter_for("sqlite:///shop.db"), SqliteAdapter)


@pytest.mark.parametrize("name", ["a?b", "a#b", "100%", "a b", "a@b:c"])
def test_a_path_may_have_any_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = records_url(folder / "shop.db")
    adapter = SqliteAdapter()
    assert adapter.canonical(adapter.canonical(url)) == url
    adapter.create(url)
    assert [file.name for file in folder.glob("*.db")] == ["shop.db"]


def test_every_spelling_of_a_path_names_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    spellings = [
        "sqlite:///shop.db",
        "sqlite:///./shop.db",
        f"sqlite:///{tmp_path}/link/shop.db",
        "sqlite+pysqlite:///shop.db?timeout=1",
    ]
    assert {SqliteAdapter().canonical(url) for url in spellings} == {
        f"sqlite:///{tmp_path}/shop.db"
    }


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused_with_advice(url: str) -> None:
    with pytest.raises(InvalidInput, match="memory://shop"):
        SqliteAdapter().canonical(url)


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="name a file"):
        SqliteAdapter().canonical("sqlite:///shop%00.db")


def test_a_new_store_is_its_owners_alone(path: Path, store_id: str) -> None:
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_creating_again_keeps_the_store(url: str, store_id: str) -> None:
    assert SqliteAdapter().create(url) == store_id


async def test_opening_creates_nothing(path: Path, opened: Opener) -> None:
    with pytest.raises(StoreMissing, match="workflow-ray deploy"):
        await opened().__aenter__()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="folder"):
        SqliteAdapter().create(f"sqlite:///{tmp_path}/none/runs.db")


async def test_an_empty_file_becomes_a_store_by_create_only(
    path: Path, url: str, opened: Opener
) -> None:
    path.touch()
    with pytest.raises(StoreMissing):
        await opened().__aenter__()
    async with opened(store_id=SqliteAdapter().create(url)):
        pass


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.commit()


def random_bytes(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY" * 1000)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [random_bytes, foreign_database, folder])
async def test_what_is_no_store_is_left_as_it_is(
    make: object, path: Path, url: str, opened: Opener
) -> None:
    assert callable(make)
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(NotAStore):
        await opened().__aenter__()
    with pytest.raises(NotAStore):
        SqliteAdapter().create(url)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert list(path.parent.iterdir()) == [path]


def stamp(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE workflow_ray_schema SET version_num = ?", [revision])
        connection.commit()


async def test_a_newer_schema_asks_for_newer_code(
    path: Path, url: str, store_id: str, opened: Opener
) -> None:
    stamp(path, "9999")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE deployment SET usable_from = '9999'")
        connection.commit()
    with pytest.raises(StoreTooNew, match="Update workflow_ray"):
        await opened().__aenter__()
    with pytest.raises(StoreTooNew):
        SqliteAdapter().create(url)


async def test_an_older_schema_asks_for_a_deploy(path: Path, store_id: str, opened: Opener) -> None:
    stamp(path, "0000")
    with pytest.raises(StoreMismatch, match="workflow-ray deploy"):
        await opened().__aenter__()


async def test_another_stores_file_is_refused(store_id: str, opened: Opener) -> None:
    with pytest.raises(StoreMismatch, match=store_id):
        await opened(store_id="another").__aenter__()


@contextmanager
def unprivileged() -> Generator[None]:
    """Permissions do not bind root: act as another user for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_url() -> Iterator[str]:
    """A store in a folder that anybody may read and nobody may write."""
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/runs.db"
        SqliteAdapter().create(url)
        for file in Path(name).iterdir():
            file.chmod(0o444)
        Path(name).chmod(0o555)
        yield url
        Path(name).chmod(0o700)


async def test_a_store_that_cannot_be_written_is_refused_before_anything_else(
    read_only_url: str,
) -> None:
    store = SqliteAdapter().open_records(read_only_url, clock=SystemClock(), exclusive=False)
    with unprivileged(), pytest.raises(StoreReadOnly, match="writable"):
        await store.__aenter__()


def test_a_store_in_a_read_only_folder_cannot_be_made(read_only_url: str) -> None:
    with unprivileged(), pytest.raises(StoreReadOnly, match="writable"):
        SqliteAdapter().create(read_only_url.replace("runs", "other"))


@contextmanager
def no_file_larger_than(size: int) -> Generator[None]:
    """Let the system refuse any file that grows beyond the size, as a quota does, or a full
    disk.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_without_room_leaves_nothing_and_the_store_goes_on(
    store_id: str, opened: Opener
) -> None:
    large, small = new_run(data=b'"%s"' % (b"x" * 4_000_000)), new_run()
    async with opened() as store:
        with no_file_larger_than(1_000_000), pytest.raises(StoreFull, match="make room"):
            await store_all(store, large)
        assert await store.lookup([large.run_id], fresh=True) == [None]
        assert await store_all(store, large, small) == [
            Stored(large.run_id, Version(1)),
            Stored(small.run_id, Version(1)),
        ]
        assert (await stored(store, large.run_id)).data == large.data


async def test_a_database_at_its_largest_is_full(path: Path, store_id: str) -> None:
    database = SqliteDatabase(str(path))
    # as it is, without room for another page
    await database.write(
        lambda session: session.connection.exec_driver_sql("PRAGMA max_page_count = 1")
    )
    with pytest.raises(StoreFull):
        await database.write(
            lambda session: session.connection.exec_driver_sql(
                "CREATE TABLE large AS SELECT zeroblob(100000)"
            )
        )
    database.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_deleted_or_replaced_while_it_is_open_takes_no_write(
    path: Path, store_id: str, opened: Opener, tmp_path: Path, replaced: bool
) -> None:
    async with opened() as store:
        await store_all(store, new_run())
        path.rename(tmp_path / "elsewhere.db")
        if replaced:
            shutil.copy(tmp_path / "elsewhere.db", path)
        with pytest.raises(StoreMissing, match="deleted or replaced"):
            await store_all(store, new_run())
