"""The conformance suites of the Redis adapter. Its own tests are in tests/adapters/redis."""

from typing import ClassVar

import pytest

from tests.adapters.served import ServedStore
from workflow_ray.testing.conformance import Capability
from workflow_ray_adapters.redis import RedisAdapter


class TestRedisStore(ServedStore):
    lacks: ClassVar = {
        Capability.DURABILITY: (
            "with appendfsync everysec a crash of the machine loses a second or so, with always"
            " nothing; a failover loses what the replica hadn't received"
        )
    }

    @pytest.fixture
    def url(self, redis_url: str) -> str:
        RedisAdapter().create(redis_url)
        return redis_url
