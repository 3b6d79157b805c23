"""How workers share roles.

A worker whose lease has ended is gone, and its roles are free.
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
    """A worker's heartbeat."""

    worker: str
    roles: Sequence[Role]
    held: Sequence[Fence]
    lease: float  # in seconds


@dataclass(frozen=True)
class Snapshot:
    """The data that a fair share is computed from."""

    workers: Mapping[str, Sequence[RoleName]]  # live workers, and the roles that they can run
    holders: Mapping[RoleName, str]  # the holders of roles whose lease has not ended
    kept: Sequence[RoleName]  # the roles that the worker held and no other acquired since
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
    """Return the roles that the worker should have now."""
    workers = {**snapshot.workers, heartbeat.worker: [role.name for role in heartbeat.roles]}
    able: dict[RoleName, list[str]] = {}
    for worker, roles in workers.items():
        for role in snapshot.deployed.intersection(roles):
            able.setdefault(role, []).append(worker)
    holders = {**snapshot.holders, **dict.fromkeys(snapshot.kept, heartbeat.worker)}
    return {role for role, worker in assigned(able, holders).items() if worker == heartbeat.worker}


_roles = msgspec.json.Decoder(list[RoleName])
