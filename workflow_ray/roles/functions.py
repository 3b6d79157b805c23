"""The functions that a consumer runs for the runs at its status."""

from collections.abc import Mapping
from typing import Any

from workflow_ray.definition import BatchStep, Resource, Status, Step, Workflow
from workflow_ray.engine.transition import AnyFunction
from workflow_ray.records import Message, MessageKind

MAX_IN_FLIGHT = 100
"""The runs that a role works on at a time if its status has no step that says it."""


class Functions:
    """The step of one status, and the functions for messages to its runs."""

    def __init__(self, workflow: Workflow[Any, Any], status: Status) -> None:
        graph = workflow.checked()
        self.status = status
        self.step: Step[Any] | None = graph.step(status)
        self.all: tuple[AnyFunction, ...] = graph.functions(status)
        if not self.all:
            raise ValueError(f"{status!r} has no function")
        self._graph = graph
        self._timeouts = {timeout.name: timeout for timeout in graph.timeouts(status)}

    @property
    def name(self) -> str:
        """Names them together, in logs and threads."""
        return self.step.name if self.step is not None else str(self.status)

    @property
    def max_in_flight(self) -> int:
        return self.step.max_in_flight if self.step is not None else MAX_IN_FLIGHT

    @property
    def time_limits(self) -> frozenset[float]:
        """The seconds that attempts may take, of the functions that have a limit."""
        return frozenset(function.timeout for function in self.all if function.timeout is not None)

    @property
    def may_abandon_calls(self) -> bool:
        """Whether a call may go on in its thread after its time limit."""
        is_batch = isinstance(self.step, BatchStep) and self.step.call_timeout is not None
        return is_batch or bool(self.time_limits)

    @property
    def resources(self) -> Mapping[Resource[Any], None]:
        """The resources of all functions, in order, each of them once."""
        return dict.fromkeys(
            resource for function in self.all for resource in function.resources.values()
        )

    def of(self, message: Message) -> AnyFunction | None:
        """The function for a message to a run at the status. None: the code has none."""
        match message.key.kind:
            case MessageKind.CALLBACK:
                callback = self._graph.callback(message.name)
                return callback if callback and self.status in callback.statuses else None
            case MessageKind.TIMEOUT:
                return self._timeouts.get(message.name)
            case MessageKind.CHILD:
                return self._graph.child(self.status, message.name)
            case MessageKind.CHILDREN:
                return self._graph.children(self.status, message.name)
