"""Fixtures for the Redis adapter: stores, a client of the database, and own servers."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import redis as driver

from tests.servers import Redis
from tests.servers.ports import HOST
from workflow_ray.testing.clock import FakeClock
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

Driver: TypeAlias = Any  # redis.Redis, much of which is untyped
Served: TypeAlias = Callable[[Mapping[str, str]], AbstractContextManager[Redis]]
BASE = "{workflow_ray}"
"""The beginning of keys if the URL has no prefix."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def url(redis_url: str) -> str:
    """The URL of an empty store."""
    RedisAdapter().create(redis_url)
    return redis_url


@pytest.fixture
async def store(url: str, clock: FakeClock) -> AsyncIterator[RedisStore]:
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as store:
        yield store


@pytest.fixture
def behind(redis_url: str) -> Iterator[Driver]:
    """A client of the store's database."""
    where = urlsplit(redis_url)
    with driver.Redis(
        host=str(where.hostname),
        port=where.port or 0,
        db=int(where.path[1:]),
        decode_responses=True,
    ) as client:
        yield client


@pytest.fixture
def own(server_folder: Path) -> Served:
    """Starts a server of the test's own with these settings."""
    return lambda settings: Redis(server_folder, settings)


def client_of(server: Redis) -> Driver:
    return driver.Redis(host=HOST, port=server.port, decode_responses=True)
