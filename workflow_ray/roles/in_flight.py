"""The number of functions that the roles of a process run now, and of those that they have
abandoned; what their circuit breakers do, and what retention has removed.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from workflow_ray.records import RoleName

Count: TypeAlias = Callable[[], int]
Describe: TypeAlias = Callable[[], str]
Removed: TypeAlias = Callable[[], Mapping[str, int]]


class InFlight:
    """Counts the running steps of each role. All roles of a process share it; it is thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[RoleName, tuple[Count, Count, Describe]] = {}
        self._removed: dict[RoleName, Removed] = {}

    @contextmanager
    def counted(
        self, role: RoleName, count: Count, abandoned: Count = int, breaker: Describe = str
    ) -> Generator[None]:
        """Count the steps of the role, inside of the `with` block.

        Args:
            role: The role.
            count: Counts the steps that it runs.
            abandoned: Counts the steps that it has abandoned and that still run. Default: none.
            breaker: Says why its circuit breaker holds runs back. Default: it does not.
        """
        counts = self._counts[role] = count, abandoned, breaker
        try:
            yield
        finally:
            if self._counts.get(role) is counts:
                del self._counts[role]

    def of(self, role: RoleName) -> int | None:
        """The number of steps that the role runs. None if it has no step, or does not run."""
        counts = self._counts.get(role)
        return None if counts is None else counts[0]()

    def abandoned(self, role: RoleName) -> int:
        """The number of steps that the role has abandoned and that still run."""
        counts = self._counts.get(role)
        return 0 if counts is None else counts[1]()

    def breaker(self, role: RoleName) -> str:
        """Say why the role's circuit breaker holds runs back. Empty: it does not."""
        counts = self._counts.get(role)
        return "" if counts is None else counts[2]()

    @contextmanager
    def removing(self, role: RoleName, removed: Removed) -> Generator[None]:
        """Show what retention has removed, inside of the `with` block.

        Args:
            role: The role.
            removed: Returns how many runs, histories or keys it has removed, by the field of
                Retention. Called from any thread.
        """
        self._removed[role] = removed
        try:
            yield
        finally:
            if self._removed.get(role) is removed:
                del self._removed[role]

    def removed(self, role: RoleName) -> dict[str, int]:
        """How many runs, histories or keys the role has removed since it began, by the field of
        Retention. Empty: none, or it removes nothing.
        """
        removed = self._removed.get(role)
        return {} if removed is None else dict(removed())
