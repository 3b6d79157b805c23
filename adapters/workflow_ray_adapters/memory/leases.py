"""Which of the members that share roles lives, and holds what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from workflow_ray.ports import assigned
from workflow_ray.records import Role, RoleName


@dataclass(frozen=True)
class Member:
    able: Sequence[Role]  # to play these
    until: datetime


@dataclass(frozen=True)
class Lease:
    member: str
    until: datetime


class Leases:
    """Whoever isn't heard of until his time is over is gone, and so is what he held."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._leases: dict[RoleName, Lease] = {}

    def expire(self, now: datetime) -> None:
        self._members = {name: member for name, member in self._members.items() if member.until > now}
        self._leases = {role: lease for role, lease in self._leases.items() if lease.until > now}

    def join(self, name: str, able: Sequence[Role], until: datetime) -> None:
        self._members[name] = Member(able, until)

    def leave(self, name: str) -> None:
        self._members.pop(name, None)
        self._leases = {role: lease for role, lease in self._leases.items() if lease.member != name}

    def hold(self, role: RoleName, member: str, until: datetime) -> None:
        self._leases[role] = Lease(member, until)

    def end(self, role: RoleName) -> None:
        self._leases.pop(role, None)

    def holder(self, role: RoleName) -> str | None:
        lease = self._leases.get(role)
        return lease.member if lease else None

    def targets(self, is_current: Callable[[Role], bool]) -> dict[RoleName, str]:
        """Of each role that is to be played the member that should."""
        able: dict[RoleName, list[str]] = {}
        for name, member in self._members.items():
            for role in filter(is_current, member.able):
                able.setdefault(role.name, []).append(name)
        return assigned(able, {role: lease.member for role, lease in self._leases.items()})
