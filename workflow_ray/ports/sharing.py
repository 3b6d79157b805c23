"""Decides which of several workers should run which role."""

from collections.abc import Collection, Mapping

from workflow_ray.records import RoleName


def assigned(
    able: Mapping[RoleName, Collection[str]], holders: Mapping[RoleName, str]
) -> dict[RoleName, str]:
    """Assign each role to one of the workers that can run it, as evenly as possible.

    As few roles as possible move. The answer depends on the arguments only, so that workers agree
    without a leader.

    Args:
        able: For each role, the live workers that can run it.
        holders: For each role, the worker that holds it now. Workers that are not live are ignored.

    Returns:
        For each role that a worker can run, the worker that should run it.
    """
    sharing = _Sharing(able)
    free: list[RoleName] = []
    for role in sorted(able):
        if holders.get(role) in able[role]:
            sharing.give(role, holders[role])
        elif able[role]:
            free.append(role)
    for role in free:
        sharing.give_to_lightest(role)
    sharing.even_out()
    return sharing.target()


class _Sharing:
    """The workers and their roles. Workers are numbers, in the order of their names. Roles that the
    same workers can run are a class.
    """

    def __init__(self, able: Mapping[RoleName, Collection[str]]) -> None:
        self._workers = sorted({worker for workers in able.values() for worker in workers})
        self._numbers = {worker: number for number, worker in enumerate(self._workers)}
        self._classes = {
            role: tuple(sorted({self._numbers[worker] for worker in workers}))
            for role, workers in able.items()
        }
        self._loads = [0] * len(self._workers)
        # by worker, then by class; the role that was given last is taken away first
        self._held: list[dict[tuple[int, ...], list[RoleName]]] = [{} for _ in self._workers]

    def give(self, role: RoleName, worker: str) -> None:
        self._give(role, self._numbers[worker])

    def give_to_lightest(self, role: RoleName) -> None:
        self._give(role, min(self._classes[role], key=self._loads.__getitem__))

    def even_out(self) -> None:
        """Take one role from the worker that has most, until nothing can be evened out.

        A worker that can't be relieved now never can: the workers that it reaches have at most one
        role fewer, and no later move touches any of them.
        """
        open_ = list(range(len(self._workers)))
        while open_:
            heavy = max(open_, key=self._loads.__getitem__)
            if not self._relieve(heavy):
                open_.remove(heavy)

    def target(self) -> dict[RoleName, str]:
        return {
            role: worker
            for worker, held in zip(self._workers, self._held, strict=True)
            for roles in held.values()
            for role in roles
        }

    def _give(self, role: RoleName, worker: int) -> None:
        self._held[worker].setdefault(self._classes[role], []).append(role)
        self._loads[worker] += 1

    def _relieve(self, heavy: int) -> bool:
        """Pass a role of `heavy` on to a worker with at least two roles fewer, through others if
        necessary. Return whether such a worker was found: of the nearest, the one with the fewest.
        """
        # a worker -> the worker that would give it a role, and the role's class
        sources: dict[int, tuple[int, tuple[int, ...]]] = {heavy: (heavy, ())}
        reached = [heavy]
        while reached:
            further: list[int] = []
            for worker in reached:
                for kind in self._held[worker]:
                    for other in kind:
                        if other not in sources:
                            sources[other] = worker, kind
                            further.append(other)
            light = min(further, key=lambda worker: (self._loads[worker], worker), default=heavy)
            if self._loads[light] < self._loads[heavy] - 1:
                self._pass_on(light, heavy, sources)
                return True
            reached = further
        return False

    def _pass_on(
        self, to: int, heavy: int, sources: Mapping[int, tuple[int, tuple[int, ...]]]
    ) -> None:
        while to != heavy:
            source, kind = sources[to]
            role = self._held[source][kind].pop()
            if not self._held[source][kind]:
                del self._held[source][kind]
            self._loads[source] -= 1
            self._give(role, to)
            to = source
