"""Who of several processes plays which role."""

from collections import Counter, deque
from collections.abc import Collection, Mapping

from workflow_ray.records import RoleName


def assigned(able: Mapping[RoleName, Collection[str]], holders: Mapping[RoleName, str]) -> dict[RoleName, str]:
    """Of each role that anybody can play the member that should: as even as can be. Where it is so already, nothing moves.

    able: of each role the live members that can play it. holders: who holds a role now; others than live members don't count.
    The same for whoever asks, so that members agree without a leader.
    """
    target = {role: holder for role, holder in holders.items() if holder in able.get(role, ())}
    loads = Counter(target.values())
    for role in sorted(able.keys() - target.keys()):
        if able[role]:
            target[role] = min(sorted(able[role]), key=lambda member: loads[member])
            loads[target[role]] += 1
    while any(_relieved(member, able, target) for member in _heaviest_first(target)):
        pass
    return target


def _heaviest_first(target: Mapping[RoleName, str]) -> list[str]:
    return [member for member, _ in sorted(Counter(target.values()).items(), key=lambda load: (-load[1], load[0]))]


def _relieved(heavy: str, able: Mapping[RoleName, Collection[str]], target: dict[RoleName, str]) -> bool:
    """Whether somebody with two roles fewer, or even less, could be found, to whom `heavy` passes one on, if need be through others."""
    loads, held = Counter(target.values()), dict[str, list[RoleName]]()
    for role in sorted(target):
        held.setdefault(target[role], []).append(role)
    received: dict[str, RoleName] = {}  # on the way from `heavy`, the shortest, each gets this role from who has it
    reached = deque([heavy])
    while reached:
        member = reached.popleft()
        if loads[member] < loads[heavy] - 1:
            _pass_on(member, heavy, received, target)
            return True
        for role in held.get(member, ()):
            for other in sorted(set(able[role]) - received.keys() - {heavy}):
                received[other] = role
                reached.append(other)
    return False


def _pass_on(to: str, heavy: str, received: Mapping[str, RoleName], target: dict[RoleName, str]) -> None:
    while to != heavy:
        role = received[to]
        to, target[role] = target[role], to
