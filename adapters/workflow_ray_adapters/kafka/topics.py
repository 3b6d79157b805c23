"""Topics: which ones exist, who leads their partitions, and their creation."""

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
from workflow_ray_adapters.kafka.faults import (
    AGAIN,
    DENIED,
    NOT_CONTROLLER,
    TOPIC_EXISTS,
    translate_errors,
)
from workflow_ray_adapters.kafka.hedging import first_of

OPENING = 3.0
"""Seconds to find a cluster, because a command must fail within five."""
PAUSE = 0.1
"""Seconds between attempts."""
REFRESH = 1.0
"""Seconds between requests in the background."""


class Topics:
    """What brokers last said about all topics.

    They are always asked about all topics. On a broker that creates topics by itself, a request
    about one would create it.
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
        """Find the cluster.

        Raises StoreUnavailable, AccessDenied, within five seconds.
        """
        within = min(self._clients.timeout, OPENING)
        self._admin = await self._clients.start(AIOKafkaAdminClient, within=within)
        with translate_errors(self._clients.where):
            async with asyncio.timeout(within):
                self.cluster_id = (await self._admin.describe_cluster())["cluster_id"] or ""

    def close(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
        if self._admin is not None:
            self._clients.stop(self._admin)

    # --- who leads what -------------------------------------------------------------------------

    def partitions(self, topic: str) -> Mapping[int, int | None]:
        """Return the last known leader of each partition; None: it has no leader."""
        return self._leaders.get(topic, {})

    def by_leader(self, topic: str, partitions: Collection[int]) -> list[list[int]]:
        """Group the partitions by leader."""
        found = defaultdict[int | None, list[int]](list)
        for partition in partitions:
            found[self.partitions(topic).get(partition)].append(partition)
        return list(found.values())

    def fault(self, topic: str, partition: int) -> str:
        """Return why the partition can't be used; "": it has a leader."""
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
        """Make sure that the topic exists, and that its partitions have leaders.

        Raises:
            StoreUnavailable: A partition has none, as brokers say now; or they don't answer.
        """
        if any(self.fault(topic, partition) for partition in partitions):
            await self.learn()
        for partition in partitions:
            if why := self.fault(topic, partition):
                raise StoreUnavailable(self._clients.where, why)

    async def learn(self) -> None:
        """Ask brokers, or wait for a request under way.

        Raises StoreUnavailable.
        """
        await asyncio.shield(self._learning_now())

    def refresh(self) -> None:
        """Call `learn` in the background, at most once a second."""
        if time.monotonic() - self._asked > REFRESH:
            self._learning_now()

    def _learning_now(self) -> "asyncio.Task[None]":
        """Return the request under way, or start one."""
        self._asked = time.monotonic()
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
            # Callers that wait get the error.
            self._learning.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._learning

    async def _learn(self) -> None:
        with translate_errors(self._clients.where):
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
                    except KafkaError:  # the broker that was chosen at random is away
                        await asyncio.sleep(PAUSE)
        self._leaders = {
            topic["topic"]: _leaders(topic) for topic in found if topic["error_code"] == 0
        }

    # --- making ---------------------------------------------------------------------------------

    async def provide(self, wanted: Mapping[str, int]) -> set[str]:
        """Create the missing topics, and wait until brokers show them with leaders.

        Args:
            wanted: The number of partitions of each topic.

        Returns:
            The topics that were created.

        Raises:
            TopicMismatch: A topic exists with another number, and none was created.
            StoreUnavailable: They are not ready in time.
            StoreError: Brokers refuse a topic.
            AccessDenied: Brokers refuse the user.
        """
        made = set[str]()
        try:
            async with asyncio.timeout(self._clients.timeout):
                while missing := await self._missing(wanted):
                    made |= missing.keys()
                    # A broker may not know of a topic that exists. Then none is created.
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
            why = (
                "its topics aren't ready in time. Try again; if that fails too, check its brokers."
            )
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
        """Create topics. False: some exist by now, or it has to be tried again.

        Raises AccessDenied; StoreError: trying again is useless.
        """
        # With an empty assignment aiokafka accepts -1, the brokers' default replication.
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
                await self._refuse_if_hopeless(
                    topic, code, (text[0] if text else "") or f"error {code} of Kafka"
                )
        return done

    async def _refuse_if_hopeless(self, topic: str, code: int, why: str) -> None:
        """Raise StoreError if trying again to create the topic is useless."""
        where = self._clients.where
        if code in DENIED:
            raise AccessDenied(
                where,
                f"topic {topic} can't be made ({why}). Let this user create topics, or make it for"
                " him.",
            )
        # The client asks the controller that it found at its start.
        if code == NOT_CONTROLLER:
            self._clients.stop(self._admin)
            self._admin = await self._clients.start(AIOKafkaAdminClient)
        elif code != TOPIC_EXISTS and code not in AGAIN:
            raise StoreError(where, f"topic {topic} can't be made: {why}")


def _leaders(topic: Mapping[str, Any]) -> dict[int, int | None]:
    leaders = {found["partition"]: found["leader"] for found in topic["partitions"]}
    return {partition: leader if leader >= 0 else None for partition, leader in leaders.items()}
