"""Codecs: what changes the data of users on its way into the store, and back.

A codec belongs to a workflow, and works in the process of a role or a client. So neither the store
nor the process that serves it sees anything else than what the codec has made.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from workflow_ray.records import RunId

PayloadKind: TypeAlias = Literal["data", "message", "result", "event", "text"]
"""What a payload is: the data of a run, the payload of a message to it, a result of `run.once`, the
event of a dead letter, or an error or another reason.
"""


class Payload(NamedTuple):
    """Bytes to encode or to decode, and what they belong to."""

    workflow: str
    run_id: RunId  # "": it belongs to no run
    kind: PayloadKind
    data: bytes
    # whether it must stay readable when `forget` is called for its run, because it is what was left
    # of the run's data on purpose
    outlives: bool = False


class Unreadable(NamedTuple):
    """Says why a payload can't be decoded. The text goes to users and logs."""

    why: str


@runtime_checkable
class Codec(Protocol):
    """Encodes payloads, and decodes what it has encoded.

    The codecs of a workflow encode one after the other, and decode in reverse order. What a codec
    has encoded carries its name, so its data may change over time as long as it can read earlier
    forms. A codec is called from several threads and event loops at once. It must not block an
    event loop for long.

    An error of its methods fails the call of the store. If it is transient (`StoreUnavailable`),
    roles and clients call again.
    """

    @property
    def name(self) -> str:
        """Identifies it among the codecs of a workflow, for good: 1 to 40 of a-z, 0-9 and -."""
        ...

    @property
    def hides(self) -> bool:
        """Whether what it encodes can't be read without a secret. Then errors and reasons are
        encoded too, because they may show data.
        """
        ...

    async def encode(self, payloads: Sequence[Payload]) -> list[bytes | None]:
        """Encode payloads. The same payload may be encoded differently at each call.

        Returns:
            For each payload, in order, what `decode` reads; None: it stays as it is.
        """
        ...

    async def decode(self, payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
        """Decode payloads whose data `encode` has made, here or in another process.

        Returns:
            For each payload, in order, the bytes that were encoded, or why they can't be decoded.
        """
        ...

    def digests(self, digest: bytes) -> Sequence[bytes]:
        """Make keyed digests of a digest, each as long as it, the newest first. Empty: no key.

        Idempotency keys are stored with a digest of what they were used for. Without a key it tells
        whether a guess of the data is right.
        """
        ...

    async def forget(self, run_ids: Sequence[RunId]) -> None:
        """Delete what it keeps of these runs outside of the record store. Idempotent.

        Payloads of theirs with `outlives` stay readable. Others may be unreadable from then on.
        """
        ...

    async def kept(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """List runs of which it keeps something, by run id. Empty: there are no more.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most runs.
        """
        ...


class RunKeys(Protocol):
    """Stores the encrypted key of each run, apart from the records.

    Every method may raise StoreUnavailable, and may be repeated. They are called from several
    threads and event loops at once.
    """

    async def add(self, keys: Mapping[RunId, bytes]) -> dict[RunId, bytes]:
        """Store the keys of runs that have none. Returns the key that each of the runs has now."""
        ...

    async def get(self, run_ids: Sequence[RunId]) -> dict[RunId, bytes]:
        """Read the keys of runs. Runs without a key are left out."""
        ...

    async def replace(self, keys: Mapping[RunId, tuple[bytes, bytes]]) -> None:
        """Replace keys, each given as the old one and the new one. One that is not the old one any
        more stays.
        """
        ...

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        """Delete the keys of runs, so that they can't be read from the store any more."""
        ...

    async def page(self, *, after: RunId | None, limit: int) -> dict[RunId, bytes]:
        """Read a page of keys, by run id. Empty: there are no more.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most keys.
        """
        ...


class ClaimCheck(Protocol):
    """A place for large data: named objects, each written once.

    Every method may raise StoreUnavailable, and may be repeated. They are called from several
    threads and event loops at once.
    """

    async def write(self, objects: Sequence[tuple[RunId, str, bytes]]) -> None:
        """Write objects, each with its run, its name and its content. All are stored when this
        returns. An object that exists has the same content.
        """
        ...

    async def read(self, names: Sequence[tuple[RunId, str]]) -> list[bytes | None]:
        """Read objects, in order. None stands for one that does not exist."""
        ...

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        """Delete all objects of these runs."""
        ...

    async def runs(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """List runs that have objects, by run id. Empty: there are no more.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most runs.
        """
        ...
