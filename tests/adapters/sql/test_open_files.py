"""What happens when the files of an open store are deleted, moved or replaced."""

import asyncio
import os
from pathlib import Path

import pytest

from workflow_ray.errors import (
    StoreMissing,
)
from workflow_ray.ports import adapter_for
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.database import SqliteDatabase

from .conftest import Opener


async def test_a_write_is_not_acknowledged_when_the_file_is_replaced_while_it_commits(
    path: Path, store_id: str, tmp_path: Path
) -> None:
    database = SqliteDatabase(str(path))
    with pytest.raises(StoreMissing, match="deleted or replaced"):
        await database.write(lambda _: path.rename(tmp_path / "elsewhere.db"))
    database.close()


async def test_a_store_whose_log_was_deleted_takes_no_write(
    path: Path, store_id: str, opened: Opener
) -> None:
    """What is committed then would be lost with the process."""
    async with opened() as store:
        await store_all(store, new_run())
        path.with_name(f"{path.name}-wal").unlink()
        with pytest.raises(StoreMissing, match="-wal file was deleted or replaced"):
            await store_all(store, new_run())


@pytest.mark.parametrize("file", ["records.db", "records.db-wal"])
async def test_a_folder_that_has_not_changed_for_long_hides_nothing(
    tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "records.db"
    await asyncio.to_thread(adapter_for(f"sqlite:///{path}").create, f"sqlite:///{path}")
    database = SqliteDatabase(str(path))
    await database.write(touch)
    settle(folder)
    await database.write(touch)
    (folder / file).rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreMissing, match="deleted or replaced"):
        await database.write(touch)
    database.close()


async def test_a_folder_that_is_moved_takes_its_files_along(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    url = f"sqlite:///{folder}/records.db"
    await asyncio.to_thread(adapter_for(url).create, url)
    database = SqliteDatabase(f"{folder}/records.db")
    await database.write(touch)
    settle(folder)
    await database.write(touch)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreMissing, match="deleted or replaced"):
        await database.write(touch)
    database.close()


async def test_while_its_folder_does_not_change_the_times_of_the_log_are_not_looked_at(
    path: Path, store_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that has reported them writes new ones with the next commit, and that commit takes a
    third more time.
    """
    database = SqliteDatabase(str(path))
    await database.write(touch)
    settle(path.parent)
    await database.write(touch)
    looked_at = list[str]()
    stat = os.stat

    def looking(path: str) -> os.stat_result:
        looked_at.append(path)
        return stat(path)

    monkeypatch.setattr(os, "stat", looking)
    await database.write(touch)
    monkeypatch.undo()
    assert looked_at == [str(path.parent)]
    database.close()


def touch(session: Session) -> None:
    """Write something, which creates the log where it is missing."""
    session.connection.exec_driver_sql("UPDATE deployment SET version = version")


def settle(folder: Path) -> None:
    """Let the folder look as if nothing had been created or deleted in it for an hour."""
    an_hour_ago = folder.stat().st_mtime - 3600
    os.utime(folder, (an_hour_ago, an_hour_ago))
