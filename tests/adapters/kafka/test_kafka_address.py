"""URLs: what they say, and the settings that they become."""

import subprocess
import sys
from pathlib import Path

import pytest

from workflow_ray.errors import InvalidInput, WorkflowError
from workflow_ray_adapters.kafka import KafkaAdapter, KafkaSource
from workflow_ray_adapters.kafka.address import parse

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("kafka://kafka", "kafka://kafka:9092/"),
        ("kafka://b:9093,A,b:9093/shop/?timeout=2", "kafka://a:9092,b:9093/shop"),
        (f"kafka://me:{SECRET}@[::1]:9094/shop", "kafka://[::1]:9094/shop"),
    ],
)
def test_the_canonical_url_names_only_sorted_brokers_and_the_prefix(
    url: str, canonical: str
) -> None:
    assert KafkaAdapter().canonical(url) == canonical
    assert KafkaAdapter().canonical(canonical) == canonical


def test_user_and_password_are_percent_decoded() -> None:
    login = parse("kafka://a%40b:p%2F%3A%3Fw@host?mechanism=SCRAM-SHA-512").login
    assert login is not None
    assert (login.user, login.password, login.mechanism) == ("a@b", "p/:?w", "SCRAM-SHA-512")


def test_names_begin_with_the_prefix_and_a_dot() -> None:
    assert parse("kafka://host/shop").name("orders-1") == "shop.orders-1"
    assert parse("kafka://host").name("orders-1") == "orders-1"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("host?tiemout=3", "timeout"),
        ("host?ssl=yes", "true or false"),
        ("host?ssl=true&check_hostname=1", "true or false"),
        ("host?timeout=0", "more than 0"),
        ("host?timeout=inf", "more than 0"),
        ("host?replication=1.5", "whole number"),
        ("host?cafile=ca.pem", "ssl=true"),
        ("host?ssl=true&keyfile=key.pem", "certfile"),
        ("host?ssl=true&cafile=nowhere.pem", "PEM"),
        ("host/a/b", "prefix"),
        ("host:port", "name the brokers"),
        ("", "name the brokers"),
        ("[host", "name the brokers"),
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_without_its_password(
    rest: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as error:
        parse(f"kafka://me:{SECRET}@{rest}").ssl_context()
    assert SECRET not in str(error.value)
    assert error.value.__context__ is None or SECRET not in str(error.value.__context__)


@pytest.mark.parametrize("rest", ["host?mechanism=PLAIN", "me:s3cr3t@host?mechanism=GSSAPI"])
def test_a_mechanism_must_be_known_and_have_a_user(rest: str) -> None:
    with pytest.raises(InvalidInput, match="mechanism"):
        parse(f"kafka://{rest}")


@pytest.mark.parametrize("mark", "/?#")
def test_a_password_that_should_be_encoded_is_not_shown_in_part(mark: str) -> None:
    with pytest.raises(InvalidInput, match="percent-encoded") as error:
        parse(f"kafka://me:{SECRET}{mark}{SECRET}@host")
    assert SECRET not in str(error.value)


def test_nothing_shows_the_password() -> None:
    url = f"kafka://me:{SECRET}@host/shop?ssl=true"
    assert SECRET not in repr(parse(url))
    assert SECRET not in repr(KafkaSource("carts", url=url))


def test_a_missing_broker_is_reported_at_once() -> None:
    with pytest.raises(
        WorkflowError, match=r"kafka://127.0.0.1:1/shop: broker 127.0.0.1:1 can't be reached"
    ):
        KafkaAdapter().create(f"kafka://me:{SECRET}@127.0.0.1:1/shop")


# --- where aiokafka isn't installed -------------------------------------------------------------

WITHOUT = """
import asyncio, sys
sys.modules["aiokafka"] = None  # as if it were not installed
from workflow_ray.errors import AdapterNotInstalled
from workflow_ray.ports import SystemClock, events_adapter
from workflow_ray_adapters.kafka import KafkaSource

adapter, source = events_adapter("kafka://host"), KafkaSource("carts")
for call in (
    lambda: adapter.create("kafka://host"),
    lambda: adapter.open_events("kafka://host", clock=SystemClock()),
    lambda: source.open(clock=SystemClock(), events="kafka://host"),
):
    try:
        call()
    except AdapterNotInstalled as error:
        assert "pip install 'workflow-ray[kafka]'" in str(error)
    else:
        raise SystemExit("it should be refused")
"""


def test_sources_are_defined_without_aiokafka_and_opening_says_what_to_install() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, cwd=Path(__file__).parents[3])
