"""A workflow's statuses and the transitions between them."""

from collections.abc import Iterable, Mapping
from typing import Generic

from workflow_ray.definition.run import S
from workflow_ray.definition.step import Step


class Graph(Generic[S]):
    """The step of each status, and the statuses that can follow it."""

    def __init__(self, steps: Iterable[Step[S]]) -> None:
        self.steps = tuple(steps)
        """In the order in which they were declared, one for each status."""
        self._steps = {step.status: step for step in self.steps}
        self._targets = {step.status: _targets(step) for step in self.steps}
        self._reached = {status: _closure(status, self._targets) for status in self._targets}

    def step(self, status: S) -> Step[S] | None:
        return self._steps.get(status)

    def is_terminal(self, status: S) -> bool:
        """Whether the status has no step: a run that enters it is complete."""
        return status not in self._steps

    def targets(self, status: S) -> frozenset[S]:
        """The statuses that one transition can lead to, `on_failure` included."""
        return self._targets.get(status, frozenset())

    def reaches(self, origin: S, target: S) -> bool:
        """Whether one or more transitions can lead from `origin` to `target`.

        A status reaches itself only if a cycle leads back to it.
        """
        return target in self._reached.get(origin, frozenset())


def _targets(step: Step[S]) -> frozenset[S]:
    return step.returns if step.on_failure is None else step.returns | {step.on_failure}


def _closure(origin: S, targets: Mapping[S, frozenset[S]]) -> frozenset[S]:
    reached: set[S] = set()
    ahead = set(targets[origin])
    while ahead:
        status = ahead.pop()
        reached.add(status)
        ahead |= targets.get(status, frozenset()) - reached
    return frozenset(reached)
