"""How many steps the roles of a process run now."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from workflow_ray.records import RoleName


class InFlight:
    """Shared by all roles of a process. Any thread may ask."""

    def __init__(self) -> None:
        self._counts: dict[RoleName, Callable[[], int]] = {}

    @contextmanager
    def counted(self, role: RoleName, count: Callable[[], int]) -> Generator[None]:
        """Have `count` tell how many steps the role runs, until left."""
        self._counts[role] = count
        try:
            yield
        finally:
            if self._counts.get(role) is count:
                del self._counts[role]

    def of(self, role: RoleName) -> int | None:
        """How many steps the role runs; None: it is a role without a step, or does not run."""
        count = self._counts.get(role)
        return None if count is None else count()
