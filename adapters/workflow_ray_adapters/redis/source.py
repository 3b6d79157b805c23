"""Streams of other programs, as the source of a connector."""

from contextlib import AbstractAsyncContextManager

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, SourceReader, scheme_of
from workflow_ray_adapters.redis.address import parse
from workflow_ray_adapters.redis.source_reader import Fields, open_source


class RedisStreamSource:
    """A ConnectorSource of one or several streams (XADD). Each of them is a partition.

    Entries must have ids that the server has made, or such whose first number is below 2**42 and
    whose second is below 2**21. A stream that is trimmed (XTRIM, MAXLEN) loses what the connector
    has not read yet, without a report. The position belongs to the server as its URL is written:
    under another host name the streams are read from their beginning.

    Args:
        streams: The keys of the streams. The prefix of a URL is not put before them.
        url: A server, with the adapter's options. None: the server of the deployment's events, if
            that is Redis.
        key: The field of an entry that is the event's key.
        data: The field that is the event's data. An entry without it has all its fields as data, as
            a JSON object. Other fields are headers.

    Raises:
        InvalidInput: No stream is given, or one twice.
    """

    def __init__(
        self, *streams: str, url: str | None = None, key: str = "key", data: str = "data"
    ) -> None:
        if not streams or len(set(streams)) < len(streams):
            raise InvalidInput("RedisStreamSource", "give the keys of streams, each once")
        self._streams = streams
        self._url = url
        self._fields = Fields(key.encode(), data.encode())

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Open the streams. They need not exist yet.

        Raises InvalidInput: no URL is Redis's; and the reader StoreUnavailable and AccessDenied.
        """
        url = self._url or events
        if scheme_of(url) not in ("redis", "rediss"):
            advice = (
                'Say where the streams are: RedisStreamSource("carts", url="redis://host:6379/0").'
            )
            raise InvalidInput(
                repr(self),
                f"it names no server, and the deployment's events aren't on Redis. {advice}",
            )
        return open_source(parse(url), self._streams, self._fields, clock)

    def __repr__(self) -> str:
        return f"RedisStreamSource({', '.join(map(repr, self._streams))})"
