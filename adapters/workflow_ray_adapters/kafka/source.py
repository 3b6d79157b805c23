"""A topic of other programs, as the source of a connector."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, SourceReader, scheme_of
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.extra import require_aiokafka


@dataclass(frozen=True)
class KafkaSource:
    """A ConnectorSource.

    Args:
        topic: Its name on the brokers. The prefix of a URL is not put before it.
        url: A cluster, with the adapter's options; None: the cluster of the deployment's events, if
            that is Kafka.
        start: "earliest": begin with the first message that is retained. "latest": begin with
            messages after the connector's first look.
    """

    topic: str
    url: str | None = field(default=None, repr=False)  # it may contain a password
    start: Literal["earliest", "latest"] = "earliest"

    def __post_init__(self) -> None:
        if self.start not in ("earliest", "latest"):
            raise InvalidInput(repr(self), 'it can start at the "earliest" or the "latest".')

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Open the topic.

        Raises InvalidInput: no URL is Kafka's; AdapterNotInstalled; when entered, StoreUnavailable
        and AccessDenied.
        """
        url = self.url or events
        if scheme_of(url) != "kafka":
            advice = 'Say where the topic is, as in KafkaSource("carts", url="kafka://host:9092").'
            raise InvalidInput(
                repr(self),
                f"it names no cluster, and the deployment's events aren't on Kafka. {advice}",
            )
        with require_aiokafka():
            from workflow_ray_adapters.kafka.source_reader import open_source
        return open_source(parse(url), self.topic, clock=clock, latest=self.start == "latest")
