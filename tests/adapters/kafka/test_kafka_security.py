"""TLS and SASL, with a broker that requires them."""

import logging
import time
from collections.abc import Iterator

import pytest

from tests.adapters.kafka.events import ORDERS, everything, sent
from tests.adapters.kafka.secured import ENCODED, PASSWORD, USER, Secured, secured
from tests.conftest import open_folder
from workflow_ray.errors import AccessDenied, StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.kafka import KafkaAdapter
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.streamer import open_streamer


@pytest.fixture(scope="module")
def server() -> Iterator[Secured]:
    with open_folder() as folder:
        server = secured(folder)
        with server.broker:
            yield server


async def works(url: str) -> None:
    async with open_streamer(parse(url), SystemClock()) as streamer:
        await streamer.prepare({ORDERS: 1})
        (run,) = await sent(streamer, 0)
        assert (await everything(streamer, 1))[-1] == run


async def test_tls_works_with_a_client_certificate(server: Secured) -> None:
    folder = server.certificates
    files = f"cafile={server.authority}&certfile={folder}/client.pem&keyfile={folder}/client.key"
    await works(f"kafka://{server.tls}?ssl=true&{files}")


async def test_a_client_without_the_required_certificate_is_refused(server: Secured) -> None:
    with pytest.raises(StoreUnavailable, match=r"broker 127.0.0.1:\d+ "):
        KafkaAdapter().create(f"kafka://{server.tls}?ssl=true&cafile={server.authority}")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_user_and_a_password_work_without_tls(server: Secured, mechanism: str) -> None:
    await works(f"kafka://{USER}:{ENCODED}@{server.plain}?mechanism={mechanism}")


async def test_a_user_and_a_password_work_over_tls(server: Secured) -> None:
    await works(f"kafka://{USER}:{ENCODED}@{server.both}?ssl=true&cafile={server.authority}")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_a_wrong_password_is_reported_in_one_line_within_five_seconds(
    server: Secured, mechanism: str
) -> None:
    began = time.monotonic()
    with pytest.raises(AccessDenied, match="refuses the user or the password") as denied:
        KafkaAdapter().create(f"kafka://{USER}:wr0ng@{server.plain}?mechanism={mechanism}")
    assert time.monotonic() - began < 5
    assert "\n" not in str(denied.value)
    assert "wr0ng" not in str(denied.value)


async def test_a_mechanism_that_the_broker_does_not_offer_is_reported(server: Secured) -> None:
    with pytest.raises(AccessDenied, match="refuses"):
        KafkaAdapter().create(
            f"kafka://{USER}:{ENCODED}@{server.both}?ssl=true&cafile={server.authority}&mechanism=SCRAM-SHA-512"
        )


async def test_an_unknown_authority_is_reported_with_how_to_name_it(server: Secured) -> None:
    with pytest.raises(StoreUnavailable, match=r"isn't trusted .*cafile="):
        KafkaAdapter().create(
            f"kafka://{USER}:{ENCODED}@{server.both}?ssl=true&cafile={server.stranger}"
        )


async def test_host_names_are_checked_unless_the_url_turns_that_off(server: Secured) -> None:
    elsewhere = server.both.replace("127.0.0.1", "localhost")  # the certificate says 127.0.0.1
    url = f"kafka://{USER}:{ENCODED}@{elsewhere}?ssl=true&cafile={server.authority}"
    with pytest.raises(StoreUnavailable, match="isn't trusted"):
        KafkaAdapter().create(url)
    KafkaAdapter().create(f"{url}&check_hostname=false")


async def test_a_listener_of_another_kind_is_reported_within_five_seconds(server: Secured) -> None:
    for url in (
        f"kafka://{server.both}",
        f"kafka://{server.plain}",
        f"kafka://{server.plain}?ssl=true",
    ):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            KafkaAdapter().create(url)
        assert time.monotonic() - began < 6


async def test_the_password_is_in_no_log_even_on_debug(
    server: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await works(f"kafka://{USER}:{ENCODED}@{server.plain}")
    assert "Request to" in caplog.text, "aiokafka's own debugging is on"
    assert PASSWORD not in caplog.text
    assert ENCODED not in caplog.text
