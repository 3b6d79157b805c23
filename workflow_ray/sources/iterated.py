"""A decorator that makes a source of a function that yields messages with their offsets."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, TypeVar, overload

from workflow_ray.definition.arguments import checked_count, checked_text, shown
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.sources.iterated_reader import open_reader

Message: TypeAlias = (
    tuple[int, bytes] | tuple[int, bytes, str] | tuple[int, bytes, str, Mapping[str, str]]
)
"""What the function yields: offset and data, then a key, then headers."""
OneLog: TypeAlias = Callable[[int], AsyncIterator[Message]]
SeveralLogs: TypeAlias = Callable[[int, int], AsyncIterator[Message]]
Ends = TypeVar("Ends", bound=Callable[..., Awaitable[int]])


class IteratedSource:
    """A ConnectorSource made of a function. `source` makes it."""

    def __init__(
        self, function: Callable[..., AsyncIterator[Message]], name: str, partitions: int | None
    ) -> None:
        self._function = function
        self._name = name
        self._partitions = partitions
        self._ends: Callable[..., Awaitable[int]] | None = None

    @property
    def name(self) -> str:
        """The name of the log, which positions are kept for."""
        return self._name

    def ends(self, function: Ends) -> Ends:
        """Declare the decorated function as the one that tells where the log ends.

        It returns the offset that the next message will have; with `partitions=` it takes the
        partition's number. Without such a function the end is not known: then the lag of the
        connector is not shown.
        """
        self._ends = function
        return function

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Return the log, not yet open.

        Args:
            clock: Measures the waits.
            events: Not used.
        """
        several = self._partitions is not None

        def messages(partition: int, offset: int) -> AsyncIterator[Message]:
            return self._function(partition, offset) if several else self._function(offset)

        async def end(partition: int) -> int:
            assert self._ends is not None, "the reader calls it only if it is given"
            return await (self._ends(partition) if several else self._ends())

        return open_reader(
            f"source:{self._name}",
            messages,
            end if self._ends is not None else None,
            range(self._partitions or 1),
            clock,
        )

    def __repr__(self) -> str:
        return f"<source {self._name}>"


@overload
def source(function: OneLog, /) -> IteratedSource: ...
@overload
def source(*, name: str) -> Callable[[OneLog], IteratedSource]: ...
@overload
def source(
    *, partitions: int, name: str | None = None
) -> Callable[[SeveralLogs], IteratedSource]: ...
def source(
    function: OneLog | None = None, /, *, partitions: int | None = None, name: str | None = None
) -> Any:
    """Make a source of an async generator function.

    The function takes the offset to begin with, and yields messages from there on, each as a tuple:
    its offset, its data, and if wanted its key and its headers. Offsets ascend, and may have gaps.
    The same offset must give the same message again. The function may wait for further messages, or
    end: then it is called again after a second. What it raises is logged, and it is called again.

    Args:
        function: The function, if the decorator is written without parentheses.
        partitions: The number of logs, which the connector's shards share. The function then takes
            the number of a log, from 0, and the offset. None: one log, and it takes the offset.
        name: The name of the log, which positions are kept for. Another name is another log, whose
            events are all new. None: the module and the name of the function.

    Raises:
        InvalidInput: The function is not an async generator function, or an argument can't be used.
    """
    if partitions is not None:
        checked_count("partitions", partitions)
    if name is not None:
        checked_text("name", name)

    def made(function: Callable[..., AsyncIterator[Message]]) -> IteratedSource:
        if not inspect.isasyncgenfunction(function):
            raise InvalidInput(
                f"@source function {shown(function)}",
                "it must be `async def` with a `yield` for each message: `yield offset, data`",
            )
        where = name or f"{function.__module__}:{function.__qualname__}"
        return IteratedSource(function, where, partitions)

    return made if function is None else made(function)
