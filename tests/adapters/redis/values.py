"""Everything that a database holds, for tests of what is left in it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Raw: TypeAlias = Any  # redis.Redis with answers in bytes, much of which is untyped
READS: Mapping[bytes, Callable[[Raw, bytes], object]] = {
    b"string": lambda raw, key: raw.get(key),
    b"hash": lambda raw, key: raw.hgetall(key),
    b"set": lambda raw, key: sorted(raw.smembers(key)),
    b"zset": lambda raw, key: raw.zrange(key, 0, -1, withscores=True),
    b"stream": lambda raw, key: raw.xrange(key),
}


def values(raw: Raw) -> dict[bytes, object]:
    """Return each key with all that it holds."""
    return {key: READS[raw.type(key)](raw, key) for key in sorted(raw.scan_iter())}


def holders(raw: Raw, marked: str) -> list[bytes]:
    """Return the keys that hold the text, or have it in their name."""
    return [key for key, value in values(raw).items() if marked in repr((key, value))]
