"""The workers that share roles: which ones live, and what they hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from workflow_ray.ports import assigned
from workflow_ray.records import Role, RoleName


@dataclass(frozen=True)
class Worker:
    able: Sequence[Role]  # the roles that it can run
    until: datetime


@dataclass(frozen=True)
class Lease:
    worker: str
    until: datetime


class Leases:
    """A worker whose lease has ended is gone, and its roles are free."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._leases: dict[RoleName, Lease] = {}

    def expire(self, now: datetime) -> None:
        self._workers = {
            name: worker for name, worker in self._workers.items() if worker.until > now
        }
        self._leases = self.current(now)

    def current(self, now: datetime) -> dict[RoleName, Lease]:
        """Return the leases that have not ended."""
        return {role: lease for role, lease in self._leases.items() if lease.until > now}

    def join(self, name: str, able: Sequence[Role], until: datetime) -> None:
        self._workers[name] = Worker(able, until)

    def leave(self, name: str) -> None:
        self._workers.pop(name, None)
        self._leases = {role: lease for role, lease in self._leases.items() if lease.worker != name}

    def hold(self, role: RoleName, worker: str, until: datetime) -> None:
        self._leases[role] = Lease(worker, until)

    def end(self, role: RoleName) -> None:
        self._leases.pop(role, None)

    def holder(self, role: RoleName) -> str | None:
        lease = self._leases.get(role)
        return lease.worker if lease else None

    def targets(self, is_current: Callable[[Role], bool]) -> dict[RoleName, str]:
        """Return the worker that should run each role that a worker can run."""
        able: dict[RoleName, list[str]] = {}
        for name, worker in self._workers.items():
            for role in filter(is_current, worker.able):
                able.setdefault(role.name, []).append(name)
        return assigned(able, {role: lease.worker for role, lease in self._leases.items()})
