"""Objects that one connection uses at a time."""

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, finalize

from sqlalchemy import Connection

T = TypeVar("T")


class PerConnection(Generic[T]):
    """Keep an object for each connection of the application that is open, and use it again once the
    connection is gone: a row that such an object writes is locked until the transaction ends.

    Args:
        make: Makes an object.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free = list[T]()
        self._used = WeakKeyDictionary[Connection, T]()

    def of(self, connection: Connection) -> T:
        found = self._used.get(connection)
        if found is None:
            try:
                found = self._free.pop()
            except IndexError:
                found = self._make()
            self._used[connection] = found
            finalize(connection, self._free.append, found).atexit = False
        return found
