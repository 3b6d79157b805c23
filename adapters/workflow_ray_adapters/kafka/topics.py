"""Topics: which are there, who leads their partitions, and how they are made."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable, TopicMismatch
from workflow_ray_adapters.kafka.clients import STAGGER, Clients
from workflow_ray_adapters.kafka.explained import (
    AGAIN,
    DENIED,
    NOT_CONTROLLER,
    TOPIC_EXISTS,
    explained,
)
from workflow_ray_adapters.kafka.hedging import first_of

OPENING = 3.0
"""Seconds in which a cluster must be found: a command has to say within five that it is not."""
PAUSE = 0.1
"""Seconds between attempts."""
REFRESH = 1.0
"""Seconds from one look in the background to the next."""


class Topics:
    """What brokers said last about all topics.

    They are asked about all, never about one by its name: to name a topic would make it, on a
    broker that makes topics by itself.
    """

    def __init__(self, clients: Clients, replication: int) -> None:
        self.cluster_id = ""
        self._clients = clients
        self._replication = replication
        self._leaders: Mapping[str, Mapping[int, int | None]] = {}
        self._admin: Any = None
        self._learning: asyncio.Task[None] | None = None
        self._asked = float("-inf")

    async def open(self) -> None:
        """Raises StoreUnavailable, AccessDenied, within five seconds."""
        within = min(self._clients.timeout, OPENING)
        self._admin = await self._clients.start(AIOKafkaAdminClient, within=within)
        with explained(self._clients.where):
            async with asyncio.timeout(within):
                self.cluster_id = (await self._admin.describe_cluster())["cluster_id"] or ""

    def close(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
        if self._admin is not None:
            self._clients.stop(self._admin)

    # --- who leads what -------------------------------------------------------------------------

    def partitions(self, topic: str) -> Mapping[int, int | None]:
        """The broker that leads each partition, as learned last. None: it has no leader."""
        return self._leaders.get(topic, {})

    def by_leader(self, topic: str, partitions: Collection[int]) -> list[list[int]]:
        """The partitions, those of one leader together."""
        found = defaultdict[int | None, list[int]](list)
        for partition in partitions:
            found[self.partitions(topic).get(partition)].append(partition)
        return list(found.values())

    def fault(self, topic: str, partition: int) -> str:
        """Why the partition can't be used; "" where it has a leader."""
        leaders = self.partitions(topic)
        if not leaders:
            return (
                f"topic {topic} isn't there, or this user can't see it. Make it; a workflow's own"
                " are made by a deploy."
            )
        if partition not in leaders:
            return f"partition {partition} of topic {topic} isn't there: the topic has fewer."
        return (
            f"partition {partition} of topic {topic} has no leader now."
            if leaders[partition] is None
            else ""
        )

    async def need(self, topic: str, partitions: Collection[int]) -> None:
        """Make sure that the topic is there, and that its partitions have leaders.

        Raises:
            StoreUnavailable: One has none, as brokers say now; or they don't answer.
        """
        if any(self.fault(topic, partition) for partition in partitions):
            await self.learn()
        for partition in partitions:
            if why := self.fault(topic, partition):
                raise StoreUnavailable(self._clients.where, why)

    async def learn(self) -> None:
        """Ask brokers; an answer under way will do. Raises StoreUnavailable."""
        await asyncio.shield(self._learning_now())

    def refresh(self) -> None:
        """`learn` in the background, once a second at most."""
        if time.monotonic() - self._asked > REFRESH:
            self._learning_now()

    def _learning_now(self) -> "asyncio.Task[None]":
        """`learn` under way."""
        self._asked = time.monotonic()
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
            # those who wait are told
            self._learning.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._learning

    async def _learn(self) -> None:
        with explained(self._clients.where):
            async with asyncio.timeout(self._clients.timeout):
                while True:
                    try:
                        found = await first_of(
                            self._admin.describe_topics,
                            every=STAGGER,
                            within=self._clients.timeout,
                            abandon=asyncio.Task[Any].cancel,
                        )
                        break
                    except KafkaError:  # the broker asked, one by chance, is not there
                        await asyncio.sleep(PAUSE)
        self._leaders = {
            topic["topic"]: _leaders(topic) for topic in found if topic["error_code"] == 0
        }

    # --- making ---------------------------------------------------------------------------------

    async def provide(self, wanted: Mapping[str, int]) -> set[str]:
        """Make those topics that aren't there, and wait until brokers show them with leaders.

        Args:
            wanted: The number of partitions of each.

        Returns:
            Those that were made.

        Raises:
            TopicMismatch: One is there with another number, and none was made.
            StoreUnavailable: They aren't ready in time.
            StoreError: Brokers refuse a topic.
            AccessDenied: Brokers refuse the user.
        """
        made = set[str]()
        try:
            async with asyncio.timeout(self._clients.timeout):
                while missing := await self._missing(wanted):
                    made |= missing.keys()
                    # A broker may not know of one that is there: then none is made.
                    if await self._create(missing, try_only=True):
                        await self._create(missing)
                    await asyncio.sleep(PAUSE)
                while any(
                    self.fault(topic, partition)
                    for topic in made
                    for partition in range(wanted[topic])
                ):
                    await asyncio.sleep(PAUSE)
                    await self.learn()
        except TimeoutError as error:
            why = "its topics aren't ready in time. Try again; if it goes on, look at its brokers."
            raise StoreUnavailable(self._clients.where, why) from error
        return made

    async def _missing(self, wanted: Mapping[str, int]) -> dict[str, int]:
        await self.learn()
        found = {topic: len(self.partitions(topic)) for topic in wanted}
        if unfit := [topic for topic in wanted if found[topic] not in (0, wanted[topic])]:
            counts = "; ".join(
                f"topic {topic} has {found[topic]} partitions, and {wanted[topic]} are needed"
                for topic in unfit
            )
            advice = (
                "Delete it, if nothing needs its events, or name another prefix in the URL, as in"
                " kafka://host:9092/prefix."
            )
            raise TopicMismatch(self._clients.where, f"{counts}. {advice}")
        return {topic: wanted[topic] for topic in wanted if not found[topic]}

    async def _create(self, missing: Mapping[str, int], *, try_only: bool = False) -> bool:
        """False: some are there by now, or it is to be tried again.

        Raises AccessDenied; StoreError: that is in vain.
        """
        # An empty assignment is how aiokafka takes the brokers' default replication, -1.
        assigned: dict[int, list[int]] | None = {} if self._replication == -1 else None
        topics = [
            NewTopic(topic, partitions, self._replication, assigned)
            for topic, partitions in missing.items()
        ]
        try:
            answer = await self._admin.create_topics(topics, validate_only=try_only)
        except KafkaError:
            return False
        done = True
        for topic, code, *text in answer.topic_errors:
            if code:
                done = False
                await self._judge(
                    topic, code, (text[0] if text else "") or f"error {code} of Kafka"
                )
        return done

    async def _judge(self, topic: str, code: int, why: str) -> None:
        """Raises StoreError where it is in vain to try again to make the topic."""
        where = self._clients.where
        if code in DENIED:
            raise AccessDenied(
                where,
                f"topic {topic} can't be made ({why}). Let this user create topics, or make it for"
                " him.",
            )
        # the client asks the controller that it found when it was started
        if code == NOT_CONTROLLER:
            self._clients.stop(self._admin)
            self._admin = await self._clients.start(AIOKafkaAdminClient)
        elif code != TOPIC_EXISTS and code not in AGAIN:
            raise StoreError(where, f"topic {topic} can't be made: {why}")


def _leaders(topic: Mapping[str, Any]) -> dict[int, int | None]:
    leaders = {found["partition"]: found["leader"] for found in topic["partitions"]}
    return {partition: leader if leader >= 0 else None for partition, leader in leaders.items()}
