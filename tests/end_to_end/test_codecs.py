"""Workflows with codecs: the runs complete, and nothing of a secret gets into the database."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.end_to_end.vaults import LARGE, SECRET, At, Parcel, vaults
from tests.end_to_end.workers import until, workers
from tests.servers import Postgres
from workflow_ray import RunState, Runtime, connect, new_key
from workflow_ray.errors import CallbackFailed, EncodedData, EncryptionKeyMissing
from workflow_ray.records import RunId

RUNS = 20
LEASE = 1.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the keys, the keys of runs and the claim-checks."""
    folder = tmp_path / "vaults"
    (folder / "of-runs").mkdir(parents=True)
    (folder / "keys").write_text(f"{new_key('first')}\n")
    return folder


def files_in(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def holds(secret: str, *folders: Path) -> list[Path]:
    return [path for path in files_in(*folders) if secret.encode() in path.read_bytes()]


async def complete_runs(folder: Path, url: str) -> list[RunId]:
    """Complete runs, while the worker that runs them is killed in the middle."""
    made, journal = vaults(folder), folder / "journal"
    journal.touch()
    async with workers(1, journal, LEASE, url, module="tests.end_to_end.vaults") as (worker,):
        async with connect(made.parcels, records=url) as client:
            handles = [await client.trigger(f"parcel-{at}", Parcel()) for at in range(RUNS)]
            await until(lambda: len(journal.read_text().splitlines()) > RUNS // 2)
            await worker.kill()
            await worker.start()
            for handle in handles:
                await handle.wait_for(At.SENT, through_errors=True)
            with pytest.raises(CallbackFailed, match=f"nothing is known of {SECRET}"):
                await handles[0].callback(made.refused, SECRET)
            runs = await asyncio.gather(
                *(handle.callback(made.stored, SECRET) for handle in handles)
            )
            assert {run.run_state for run in runs} == {RunState.COMPLETED}
            assert {run.data.note for run in runs} == {LARGE}
            for handle in handles:
                entries = await handle.history()
                assert all(entry.unreadable is None for entry in entries)
                assert any(SECRET in (entry.reason or "") for entry in entries)
        await worker.terminate()
    return [handle.run_id for handle in handles]


async def check_keys(folder: Path, url: str, run_ids: Sequence[RunId]) -> None:
    """Check that old runs are read after a rotation, and that runs whose key is gone are not."""
    old = (folder / "keys").read_text()
    (folder / "keys").write_text(f"{new_key('second')}\n{old}")
    made = vaults(folder)
    async with connect(made.parcels, records=url) as client:
        assert (await client.handle(run_ids[0]).get()).data.owner == SECRET
        (encryption,) = (each for each in made.parcels.codecs if each.name == "aes-gcm")
        await encryption.forget(run_ids[:1])
        with pytest.raises(EncodedData, match="the key of this run was deleted"):
            _ = (await client.handle(run_ids[0]).get()).data
        assert (await client.handle(run_ids[1]).get()).data.owner == SECRET
    (folder / "keys").write_text(f"{new_key('third')}\n")
    async with connect(vaults(folder).parcels, records=url) as client:
        with pytest.raises(EncodedData, match="key 'first' of the encryption is missing"):
            _ = (await client.handle(run_ids[1]).get()).data
    (folder / "keys").write_text("")
    async with connect(vaults(folder).parcels, records=url) as client:
        with pytest.raises(EncryptionKeyMissing):
            await client.trigger("parcel-x", Parcel())


@pytest.mark.timeout(180)
async def test_the_files_of_sqlite_hold_nothing_of_a_secret(folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "database"
    database.mkdir()
    url = f"sqlite:///{database}/records.db"
    async with Runtime.local(vaults(folder).parcels, vaults(folder).labels, records=url):
        pass  # it deploys
    run_ids = await complete_runs(folder, url)
    assert holds(run_ids[0], database)
    assert holds(SECRET, database, folder) == []
    assert len(files_in(folder / "claims")) >= RUNS
    await check_keys(folder, url, run_ids)


@pytest.mark.server
@pytest.mark.timeout(180)
async def test_the_files_of_postgresql_hold_nothing_of_a_secret(
    folder: Path, server_folder: Path
) -> None:
    with Postgres(server_folder) as server:
        made = vaults(folder)
        async with Runtime.local(made.parcels, made.labels, records=server.url):
            pass  # it deploys
        run_ids = await complete_runs(folder, server.url)
        await check_keys(folder, server.url, run_ids)
        server.stop()
        assert holds(run_ids[0], server.data)
        assert holds(SECRET, server.data, folder) == []


async def test_without_a_codec_the_secret_is_found(folder: Path, tmp_path: Path) -> None:
    made, database = vaults(folder, codecs=False), tmp_path / "database"
    database.mkdir()
    async with Runtime.local(
        made.parcels, made.labels, records=f"sqlite:///{database}/records.db"
    ) as runtime:
        handle = await runtime.client(made.parcels).trigger("parcel-1", Parcel())
        await handle.wait_for(At.SENT, through_errors=True)
    assert holds(SECRET, database) != []
