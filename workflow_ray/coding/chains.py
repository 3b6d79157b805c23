"""The codecs of workflows, one chain for each workflow that has some."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from workflow_ray.coding.tracking import tracked
from workflow_ray.definition import Workflow
from workflow_ray.ports import Codec, Payload, Unreadable
from workflow_ray.records import DIGEST_SIZE, RunId
from workflow_ray.records.encoded import (
    Envelope,
    is_encoded,
    opened,
    sealed,
    unreadable,
)

T = TypeVar("T")

HALF = DIGEST_SIZE // 2
"""Bytes of a digest that are compared by themselves."""


class Chain:
    """The codecs of one workflow, in the order in which they encode."""

    def __init__(self, workflow: str, codecs: Sequence[Codec]) -> None:
        self.workflow = workflow
        self.codecs = {codec.name: codec for codec in codecs}
        self.hides = any(codec.hides for codec in codecs)

    async def encode(self, payloads: Sequence[Payload]) -> list[bytes]:
        """Encode payloads. What is empty, or encoded already, stays as it is."""
        places = [at for at, each in enumerate(payloads) if each.data and not is_encoded(each.data)]
        current = [payloads[at] for at in places]
        sizes = [len(each.data) for each in current]
        for name, codec in self.codecs.items():
            made = await codec.encode(current)
            current = [
                each
                if encoded is None
                else each._replace(data=sealed(Envelope(name, size, encoded)))
                for each, size, encoded in zip(current, sizes, made, strict=True)
            ]
        answers = [each.data for each in payloads]
        for at, each in zip(places, current, strict=True):
            answers[at] = each.data
        return answers

    async def decode(self, payloads: Sequence[Payload]) -> list[bytes]:
        """Decode payloads. What can't be decoded is replaced by bytes that say why. What a codec
        has encoded that is not in the chain stays as it is.
        """
        answers = [each.data for each in payloads]
        left = [at for at, data in enumerate(answers) if is_encoded(data)]
        for _ in range(len(self.codecs)):
            by_codec: defaultdict[str, list[int]] = defaultdict(list)
            for at in left:
                if envelope := opened(answers[at]):
                    by_codec[envelope.codec].append(at)
            for name, places in by_codec.items():
                if codec := self.codecs.get(name):
                    await _decode_layer(codec, payloads, answers, places)
            left = [at for at in left if is_encoded(answers[at])]
        return answers

    def digest(self, plain: bytes) -> bytes:
        """Return the digest as it is stored: keyed, if a codec has a key."""
        return b"".join(
            next(iter(self._digests(half)), half) for half in (plain[:HALF], plain[HALF:])
        )

    def undigested(self, stored: bytes, plain: bytes) -> bytes:
        """Return a stored digest as it is compared with a plain one: each half of it is that of the
        plain one if it was made of it, by any of the keys.
        """
        halves = ((stored[:HALF], plain[:HALF]), (stored[HALF:], plain[HALF:]))
        return b"".join(
            mine if theirs in self._digests(mine) else theirs for theirs, mine in halves
        )

    def _digests(self, half: bytes) -> list[bytes]:
        return [each for codec in self.codecs.values() for each in codec.digests(half)]

    async def forget(self, run_ids: Sequence[RunId]) -> None:
        """Delete what the codecs keep of runs outside of the store."""
        for codec in self.codecs.values():
            await tracked(codec.forget(run_ids))


async def _decode_layer(
    codec: Codec, payloads: Sequence[Payload], answers: list[bytes], places: Sequence[int]
) -> None:
    """Replace what the codec has encoded, at these places, by what it had encoded."""
    sealed_ones = [opened(answers[at]) for at in places]
    asked = [
        payloads[at]._replace(data=envelope.payload)
        for at, envelope in zip(places, sealed_ones, strict=True)
        if envelope is not None
    ]
    for at, found in zip(places, await codec.decode(asked), strict=True):
        answers[at] = unreadable(found.why) if isinstance(found, Unreadable) else found


class Chains:
    """The chains of some workflows. Data of other workflows stays as it is."""

    def __init__(self, own: str, chains: Mapping[str, Chain]) -> None:
        """own: The workflow of runs whose workflow is not said."""
        self.own = own
        self.by_name = chains

    def of(self, workflow: str) -> Chain | None:
        return self.by_name.get(workflow)

    def hides(self, workflow: str) -> bool:
        """Whether the texts of a workflow are encoded."""
        chain = self.by_name.get(workflow)
        return chain is not None and chain.hides

    async def encoded(self, walk: "Callable[[Code], T]") -> T:
        """Encode everything that a walk passes to its argument, in one batch.

        Args:
            walk: It builds something, and puts in the answers of its argument. It is called twice,
                and must do the same each time.
        """
        return await self._coded(walk, Chain.encode)

    async def decoded(self, walk: "Callable[[Code], T]") -> T:
        """Decode everything that a walk passes to its argument. As `encoded`."""
        return await self._coded(walk, Chain.decode)

    async def _coded(self, walk: "Callable[[Code], T]", code: Any) -> T:
        found: list[Payload] = []

        def collect(payload: Payload) -> bytes:
            found.append(payload)
            return payload.data

        untouched = walk(collect)
        if not found:
            return untouched
        answers = [each.data for each in found]
        for name, chain in self.by_name.items():
            places = [at for at, each in enumerate(found) if each.workflow == name]
            if places:
                made = await tracked(code(chain, [found[at] for at in places]))
                for at, data in zip(places, made, strict=True):
                    answers[at] = data
        results = iter(answers)
        return walk(lambda _: next(results))


Code = Callable[[Payload], bytes]
"""Encodes or decodes a payload."""


def chains_of(own: Workflow[Any, Any], others: Iterable[Workflow[Any, Any]] = ()) -> Chains | None:
    """Return the chains of a workflow and of others. None: none of them has a codec."""
    chains = {each.name: Chain(each.name, each.codecs) for each in (*others, own) if each.codecs}
    return Chains(own.name, chains) if chains else None
