"""Connections that nobody between here and the server can read or answer."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.servers import MariaDB
from workflow_ray.errors import AccessDenied, StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import MariadbAdapter
from workflow_ray_adapters.sql.mariadb.connections import autocommit_engine
from workflow_ray_adapters.sql.mariadb.url import parse_target

from ..databases import execute

OURS, ANOTHER = "authority.pem", "another.pem"
AUTHORITY = "keyUsage=critical,keyCertSign"
"""What a key is for: Python from 3.13 on accepts only an authority that says so."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of two authorities, and of a server and a client by the first of them."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority in (OURS, ANOTHER):
        openssl(
            folder,
            *new_key(authority),
            "-x509",
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
            "-addext",
            AUTHORITY,
            "-out",
            authority,
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    for name in ("server", "client"):
        openssl(folder, *new_key(f"{name}.pem"), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        by = ["-CA", OURS, "-CAkey", f"{OURS}.key", "-CAcreateserial", "-extfile", "names"]
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", *by, "-days", "2", "-out", f"{name}.pem"
        )
    return folder


def new_key(of: str) -> list[str]:
    return [
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        f"{of}.key",
    ]


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def url(folder: Path, server_folder: Path) -> Iterator[str]:
    """The URL of a server with a certificate."""
    for name in (OURS, "server.pem", "server.pem.key"):
        (server_folder / name).write_bytes((folder / name).read_bytes())
        (server_folder / name).chmod(0o644)  # it runs as another user
    settings = {"ssl-ca": OURS, "ssl-cert": "server.pem", "ssl-key": "server.pem.key"}
    with MariaDB(
        server_folder, {name: str(server_folder / file) for name, file in settings.items()}
    ) as server:
        yield server.url


async def create(url: str) -> str:
    return await asyncio.to_thread(MariadbAdapter().create, url)


async def test_a_server_of_the_authority_named_is_spoken_to_by_tls(url: str, folder: Path) -> None:
    secure = f"{url}?ssl_ca={folder / OURS}"
    await create(secure)
    async with autocommit_engine(parse_target(secure)).connect() as connection:
        assert (
            (await connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'")))
            .one()[1]
            .startswith("TLS")
        )
    async with MariadbAdapter().open_records(secure, clock=SystemClock()) as store:
        assert (await store.deployment()).version == 0


async def test_a_server_of_another_authority_is_not_trusted(url: str, folder: Path) -> None:
    for options in (f"ssl_ca={folder / ANOTHER}", "ssl=true"):
        with pytest.raises(StoreUnavailable, match="certificate"):
            await create(f"{url}?{options}")


async def test_a_user_who_must_show_a_certificate_is_let_in_with_it_only(
    url: str, folder: Path
) -> None:
    await execute(
        url,
        "CREATE USER guest@'127.0.0.1' REQUIRE X509",
        "GRANT ALL ON test.* TO guest@'127.0.0.1'",
    )
    guest = f"{url.replace('root@', 'guest@')}?ssl_ca={folder / OURS}"
    before = open_sockets()
    for _ in range(10):
        with pytest.raises(AccessDenied):
            await create(guest)
    assert open_sockets() == before, "none is left to be collected"
    await create(f"{guest}&ssl_cert={folder / 'client.pem'}&ssl_key={folder / 'client.pem.key'}")


def open_sockets() -> int:
    """Return how many sockets this process has open."""
    descriptors = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum(descriptor.is_socket() for descriptor in descriptors if descriptor.exists())
