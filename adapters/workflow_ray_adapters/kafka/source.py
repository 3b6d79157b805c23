"""A topic that others write, as the source of a connector."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, SourceReader, scheme_of
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.extra import needed


@dataclass(frozen=True)
class KafkaSource:
    """ports.ConnectorSource.

    topic: its name on the brokers; the prefix of a URL isn't put before it.
    url: a cluster, with options as the adapter's; None: where the deployment's events are, if that
        is Kafka.
    start: "earliest": with the first message that is retained; "latest": with what comes once the
        connector has first looked.
    """

    topic: str
    url: str | None = field(default=None, repr=False)  # it may hold a password
    start: Literal["earliest", "latest"] = "earliest"

    def __post_init__(self) -> None:
        if self.start not in ("earliest", "latest"):
            raise InvalidInput(repr(self), 'it can start at the "earliest" or the "latest".')

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Raises InvalidInput: no URL is Kafka's; AdapterNotInstalled; when entered,
        StoreUnavailable and AccessDenied.
        """
        url = self.url or events
        if scheme_of(url) != "kafka":
            advice = 'Say where the topic is, as in KafkaSource("carts", url="kafka://host:9092").'
            raise InvalidInput(
                repr(self),
                f"it names no cluster, and the deployment's events aren't on Kafka. {advice}",
            )
        with needed():
            from workflow_ray_adapters.kafka.source_reader import opened
        return opened(parse(url), self.topic, clock=clock, latest=self.start == "latest")
