"""URLs: what they name, and which parts are shown."""

import pytest

from workflow_ray.errors import InvalidInput
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.address import parse

CANONICAL = {
    "redis://": "redis://localhost:6379/0?prefix=workflow_ray",
    "REDIS://LocalHost": "redis://localhost:6379/0?prefix=workflow_ray",
    "redis://localhost:6379/0/": "redis://localhost:6379/0?prefix=workflow_ray",
    "redis://me:s3cret@db.example:7000/3?prefix=shop": "redis://db.example:7000/3?prefix=shop",
    "redis://:s3cret@[::1]/1": "redis://[::1]:6379/1?prefix=workflow_ray",
    "redis://db.example?retain=1000": "redis://db.example:6379/0?prefix=workflow_ray",
    "rediss://db.example?ssl_ca_certs=/ca.pem": "rediss://db.example:6379/0?prefix=workflow_ray",
}
INVALID = {
    "redis://localhost:s3cret": "port",
    "redis://me:s3cret/more@localhost/0": "percent-encoded",
    "redis://localhost/s3cret": "number",
    "redis://localhost?prefix=a{b": "prefix",
    "redis://localhost?prefix=": "prefix",
    "redis://localhost?retain=0": "retain",
    "redis://localhost?s3cret=1": "options",
    "redis://localhost?ssl_ca_certs=/ca.pem": "rediss",
    "redis://localhost/0#s3cret": "#",
}


@pytest.mark.parametrize(("url", "canonical"), CANONICAL.items())
def test_a_store_has_one_canonical_name_without_user_and_password(url: str, canonical: str) -> None:
    assert RedisAdapter().canonical(url) == canonical
    assert RedisAdapter().canonical(canonical) == canonical


@pytest.mark.parametrize(("url", "why"), INVALID.items())
def test_a_url_that_names_no_store_is_refused_with_an_example(url: str, why: str) -> None:
    with pytest.raises(InvalidInput, match="redis://user:password@localhost") as refusal:
        RedisAdapter().canonical(url)
    assert why in str(refusal.value)


def test_an_address_shows_no_secrets() -> None:
    address = parse("rediss://me:s3cret@localhost/0?ssl_keyfile=/s3cret.pem")
    assert address.password == "s3cret"
    assert "s3cret" not in repr(address) + str(address)


def test_a_password_may_have_any_characters_escaped() -> None:
    assert parse("redis://:p%40ss%2Fw%23rd@localhost/0").password == "p@ss/w#rd"
