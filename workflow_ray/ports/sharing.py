"""Who of several processes plays which role."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from workflow_ray.records import RoleName


def assigned(able: Mapping[RoleName, Collection[str]], holders: Mapping[RoleName, str]) -> dict[RoleName, str]:
    """Of each role the member that should play it: as even as can be, with as few moves as that allows.

    able: of each role the live members that can play it. holders: who holds a role now; others than live members don't count.
    The same for whoever asks, so that members agree without a leader.
    """
    members = {member for able_ones in able.values() for member in able_ones}
    most = -(-len(able) // len(members)) if members else 0
    loads, target = Counter[str](), dict[RoleName, str]()
    for role in sorted(able):
        holder = holders.get(role)
        if holder in able[role] and loads[holder] < most:
            target[role] = holder
            loads[holder] += 1
    for role in sorted(able.keys() - target.keys()):
        if able[role]:
            target[role] = _least_loaded(able[role], loads)
            loads[target[role]] += 1
    return _levelled(able, target, loads)


def _levelled(able: Mapping[RoleName, Collection[str]], target: dict[RoleName, str], loads: Counter[str]) -> dict[RoleName, str]:
    """Roles are moved from who has two more than another that could play them."""
    for role in sorted(target):
        other = _least_loaded(able[role], loads)
        if loads[target[role]] > loads[other] + 1:
            loads[target[role]] -= 1
            loads[other] += 1
            target[role] = other
    return target


def _least_loaded(members: Collection[str], loads: Mapping[str, int]) -> str:
    by_name: Sequence[str] = sorted(members)
    return min(by_name, key=lambda member: loads[member])
