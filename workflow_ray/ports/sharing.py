"""Which of several workers should run which role."""

from collections.abc import Collection, Mapping

from workflow_ray.records import RoleName


def assigned(
    able: Mapping[RoleName, Collection[str]], holders: Mapping[RoleName, str]
) -> dict[RoleName, str]:
    """For each role that some worker can run: the worker that should, as evenly as can be.

    Where it is so already, nothing moves. The same for whoever asks, so that workers agree without
    a leader.

    Args:
        able: Of each role the live workers that can run it.
        holders: Who holds a role now; others than live workers don't count.
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
    """Who has what. Workers are numbers, in the order of their names; roles that the same workers
    can run are a class.
    """

    def __init__(self, able: Mapping[RoleName, Collection[str]]) -> None:
        self._workers = sorted({worker for workers in able.values() for worker in workers})
        self._numbers = {worker: number for number, worker in enumerate(self._workers)}
        self._classes = {
            role: tuple(sorted({self._numbers[worker] for worker in workers}))
            for role, workers in able.items()
        }
        self._loads = [0] * len(self._workers)
        # by class; what came last goes first
        self._held: list[dict[tuple[int, ...], list[RoleName]]] = [{} for _ in self._workers]

    def give(self, role: RoleName, worker: str) -> None:
        self._give(role, self._numbers[worker])

    def give_to_lightest(self, role: RoleName) -> None:
        self._give(role, min(self._classes[role], key=self._loads.__getitem__))

    def even_out(self) -> None:
        """Relieve the heaviest worker by one role, again and again.

        One that can't be relieved never can: whom it reaches has at most one role fewer, and no
        later move touches any of them.
        """
        open_ = list(range(len(self._workers)))
        while open_:
            heavy = max(open_, key=self._loads.__getitem__)
            if not self._relieved(heavy):
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

    def _relieved(self, heavy: int) -> bool:
        """Whether somebody with two roles fewer, or even less, was found, to whom `heavy` passes
        one on, if need be through others. Of the nearest of them, the one with the fewest roles.
        """
        # from whom each would get a role, and of which class
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
