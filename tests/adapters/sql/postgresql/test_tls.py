"""TLS: its options are libpq's, in the URL."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Postgres
from tests.servers.certificates import certify
from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import PostgresqlAdapter


@pytest.fixture
def certified(server_folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server that accepts only TLS, and its certificate, which is for 127.0.0.1."""
    with Postgres(server_folder) as server:
        server.stop()
        certificate = server.data / "server.crt"
        certify_for_server(certificate, server.data / "server.key")
        rules = server.data / "pg_hba.conf"
        server.settings["ssl"] = "on"
        rules.write_text(rules.read_text().replace("host ", "hostssl "))
        server.start()
        yield server.url, certificate


def certify_for_server(certificate: Path, key: Path) -> None:
    """Make a certificate that belongs to the server's user, as its other files do."""
    certify(certificate, key)
    owner = key.parent.stat()
    for file in (certificate, key):
        os.chown(file, owner.st_uid, owner.st_gid)
    key.chmod(0o600)
    certificate.chmod(0o644)


@pytest.mark.parametrize(
    "options", ["sslmode=require", "ssl=require", "sslmode=verify-full&sslrootcert={certificate}"]
)
async def test_a_server_is_reached_by_tls(certified: tuple[str, Path], options: str) -> None:
    url, certificate = certified
    url = f"{url}?{options.format(certificate=certificate)}"
    await asyncio.to_thread(PostgresqlAdapter().create, url)
    async with PostgresqlAdapter().open_records(url, clock=SystemClock()) as store:
        assert await store.counts("orders") == []


async def test_a_server_that_is_not_trusted_is_sent_nothing(
    certified: tuple[str, Path], postgres: Postgres, tmp_path: Path
) -> None:
    url, _ = certified
    certify_for_server(tmp_path / "other.crt", tmp_path / "other.key")
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        await asyncio.to_thread(
            PostgresqlAdapter().create,
            f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/other.crt",
        )


async def test_a_server_without_tls_is_not_talked_to_where_tls_is_asked_for(
    postgres_url: str,
) -> None:
    with pytest.raises(StoreUnavailable, match="rejected SSL upgrade"):
        await asyncio.to_thread(PostgresqlAdapter().create, f"{postgres_url}?sslmode=require")
