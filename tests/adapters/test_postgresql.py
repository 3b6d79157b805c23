"""The conformance suites of the PostgreSQL adapter. Its own tests are in tests/adapters/sql."""

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar
from uuid import uuid4

import pytest

from tests.adapters.served import ServedStore
from tests.adapters.sql.wiping import wipe
from tests.servers import Postgres
from workflow_ray.testing.conformance import Capability
from workflow_ray_adapters.sql import PostgresqlAdapter
from workflow_ray_adapters.sql.postgresql.connections import autocommit_engine
from workflow_ray_adapters.sql.postgresql.url import parse_target


@pytest.fixture(scope="module")
def made(postgres: Postgres) -> Iterator[str]:
    """Create one store for all tests here, because emptying it is faster than a new one."""
    with postgres.database(f"test_{uuid4().hex}") as url:
        PostgresqlAdapter().create(url)
        yield url


class TestPostgresqlStore(ServedStore):
    lacks: ClassVar = {
        Capability.SIZED_TOPICS: (
            "a topic is a name in its events' rows, with any number of partitions"
        )
    }

    @pytest.fixture
    async def url(self, made: str) -> AsyncIterator[str]:
        yield made
        await wipe(autocommit_engine(parse_target(made)))
