"""TLS: rediss:// and the files that a URL names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import Redis
from tests.servers.certificates import certify
from tests.servers.ports import HOST, free_ports
from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of
from workflow_ray.testing.conformance.runs import step, store_all, stored_run
from workflow_ray_adapters.redis import RedisAdapter


@dataclass(frozen=True)
class Certified:
    """A server that requires client certificates.

    Its own certificate is for 127.0.0.1, and clients may use that one too.
    """

    server: Redis
    port: int
    certificate: Path
    key: Path

    @property
    def url(self) -> str:
        return (
            f"rediss://{HOST}:{self.port}/0?ssl_certfile={self.certificate}&ssl_keyfile={self.key}"
        )


@pytest.fixture
def certified(server_folder: Path) -> Iterator[Certified]:
    certificate, key = certified_as(server_folder, "server")
    (port,) = free_ports(1)
    files = {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
    }
    with Redis(server_folder, {"tls-port": str(port), **files}) as server:
        yield Certified(server, port, certificate, key)


def certified_as(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate of that name, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    certify(certificate, key)
    return certificate, key


async def test_calls_and_notifications_use_tls(certified: Certified, clock: FakeClock) -> None:
    url = f"{certified.url}&ssl_ca_certs={certified.certificate}"
    RedisAdapter().create(url)
    async with RedisAdapter().open_records(url, clock=clock) as store:
        record = await stored_run(store)
        watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
        await store_all(store, step(record))
        assert len(await result_of(watch)) == 1


async def test_a_server_that_is_not_trusted_gets_no_data(
    certified: Certified, tmp_path: Path
) -> None:
    stranger, _ = certified_as(tmp_path, "stranger")
    for url in (certified.url, f"{certified.url}&ssl_ca_certs={stranger}"):
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            RedisAdapter().create(url)


async def test_a_server_without_tls_gets_no_data_if_the_url_asks_for_tls(
    certified: Certified,
) -> None:
    with pytest.raises(StoreUnavailable):
        RedisAdapter().create(
            f"rediss://{HOST}:{certified.server.port}/0?ssl_ca_certs={certified.certificate}"
        )


async def test_missing_files_are_named(certified: Certified) -> None:
    with pytest.raises(InvalidInput, match="ssl_ca_certs can't be read: /nowhere"):
        RedisAdapter().create(f"{certified.url}&ssl_ca_certs=/nowhere.pem")
