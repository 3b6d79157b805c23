"""The number of steps that the roles of a process run now."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from workflow_ray.records import RoleName


class InFlight:
    """Counts the running steps of each role. All roles of a process share it; it is thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[RoleName, Callable[[], int]] = {}

    @contextmanager
    def counted(self, role: RoleName, count: Callable[[], int]) -> Generator[None]:
        """Count the steps of the role by `count`, inside of the `with` block."""
        self._counts[role] = count
        try:
            yield
        finally:
            if self._counts.get(role) is count:
                del self._counts[role]

    def of(self, role: RoleName) -> int | None:
        """The number of steps that the role runs. None if it has no step, or does not run."""
        count = self._counts.get(role)
        return None if count is None else count()
