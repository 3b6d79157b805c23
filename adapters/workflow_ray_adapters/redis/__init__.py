"""A store on a Redis server: records, events and timeouts, or some of them. And sources of
connectors.
"""

from workflow_ray_adapters.redis.adapter import RedisAdapter
from workflow_ray_adapters.redis.source import RedisStreamSource

__all__ = ["RedisAdapter", "RedisStreamSource"]
