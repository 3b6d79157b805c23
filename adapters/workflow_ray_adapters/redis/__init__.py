"""A store on a Redis server: records, events and timeouts, or some of them."""

from workflow_ray_adapters.redis.adapter import RedisAdapter

__all__ = ["RedisAdapter"]
