"""What was read of a partition and nobody has got yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from workflow_ray_adapters.kafka.wire import Chunk, Message, Records

T = TypeVar("T")


@dataclass
class Page:
    """Follows what was handed out last. Whoever names another offset than the one asked for here gets a page of his own."""

    asked: int
    position: int  # of what is to be fetched next; ahead of `asked` where all between is gone, or isn't for us
    records: Records | None = None
    lost: int | None = None  # the end of a log that ends below `position`: it isn't the one that was read before

    @property
    def read(self) -> int:
        """The offset to go on from: everything below it was handed out, passed over, or is gone."""
        return self.position if self.records is None else self.asked

    def fill(self, chunk: Chunk) -> None:
        """With what was fetched from its position on."""
        self.records = Records(chunk)
        self._leave_if_ended(self.records)

    def take(self, decode: Callable[[Message], T | None], limit: int, size: int) -> tuple[list[T], int]:
        """The next ones, and their bytes: up to `limit`, and until they exceed `size` bytes; the one that crosses it is the last."""
        taken, used = list[T](), 0
        while (records := self.records) and len(taken) < limit and used <= size and (message := records.take()):
            if (item := decode(message)) is not None:
                taken.append(item)
                used += len(message.value or b"")
                self.asked = message.offset + 1
            self._leave_if_ended(records)
        return taken, used

    def _leave_if_ended(self, records: Records) -> None:
        if (end := records.end) is not None:
            self.position, self.records = end, None


def share(pages: Mapping[int, Page], decode: Callable[[Message], T | None], limit: int, size: int) -> list[T]:
    """Up to `limit`, and not much more than `size` bytes. Each page has its part; what it leaves the others have."""
    taken: list[T] = []
    while (ready := [page for page in pages.values() if page.records is not None]) and len(taken) < limit and size > 0:
        part = max((limit - len(taken)) // len(ready), 1)
        for page in ready[: limit - len(taken)]:
            items, used = page.take(decode, part, size // len(ready))
            taken += items
            size -= used
    return taken
