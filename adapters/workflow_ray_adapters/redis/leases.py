"""How workers share roles: a worker that sends no heartbeat until its lease ends is gone, and so is
what it held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from workflow_ray.ports import assigned
from workflow_ray.records import Fence, Role, RoleName
from workflow_ray_adapters.redis.rows import DIGITS, Answer
from workflow_ray_adapters.redis.server import pairs


@dataclass(frozen=True)
class Heartbeat:
    """What a worker says of itself."""

    worker: str
    roles: Sequence[Role]
    held: Sequence[Fence]
    lease: float  # seconds


@dataclass(frozen=True)
class Snapshot:
    """What a fair share is decided by."""

    workers: Mapping[str, Sequence[RoleName]]  # those that live, with the roles that they can run
    holders: Mapping[RoleName, str]  # of roles whose lease isn't over
    kept: Sequence[RoleName]  # what the worker held, and nobody has acquired since
    deployed: frozenset[RoleName]


def snapshot(answer: Answer, held: Sequence[Fence]) -> Snapshot:
    now, workers, leases, topology, epochs = answer
    return Snapshot(
        workers={
            name.decode(): _roles.decode(worker[DIGITS:])
            for name, worker in pairs(workers)
            if worker[:DIGITS] > now
        },
        holders={
            RoleName(role.decode()): lease[DIGITS:].decode()
            for role, lease in pairs(leases)
            if lease[:DIGITS] > now
        },
        kept=[
            fence.role
            for fence, epoch in zip(held, epochs, strict=True)
            if int(epoch) == fence.epoch
        ],
        deployed=frozenset(
            Role(group.decode(), shard, int(shards)).name
            for group, shards in pairs(topology)
            for shard in range(1, int(shards) + 1)
        ),
    )


def fair_share(snapshot: Snapshot, heartbeat: Heartbeat) -> set[RoleName]:
    """The roles that the worker should have, as it looks now."""
    workers = {**snapshot.workers, heartbeat.worker: [role.name for role in heartbeat.roles]}
    able: dict[RoleName, list[str]] = {}
    for worker, roles in workers.items():
        for role in snapshot.deployed.intersection(roles):
            able.setdefault(role, []).append(worker)
    holders = {**snapshot.holders, **dict.fromkeys(snapshot.kept, heartbeat.worker)}
    return {role for role, worker in assigned(able, holders).items() if worker == heartbeat.worker}


_roles = msgspec.json.Decoder(list[RoleName])
