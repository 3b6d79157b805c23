"""Effects: what a run does beside its transition, for whoever runs its functions."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from pydantic import BaseModel

from workflow_ray.definition.arguments import checked_flag, checked_text, shown
from workflow_ray.definition.cancelled import CancelledEvent
from workflow_ray.definition.labels import Labels, checked_labels
from workflow_ray.definition.status import Status
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA, flaw_of_key

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow

IF_ACTIVE = ("refuse", "join")
"""What a start does if the foreign id has an unfinished run."""


@dataclass(frozen=True, slots=True, eq=False)
class ChildStart:
    """A run that a function starts as a child of its own run. Its arguments have been checked."""

    workflow: "Workflow[Any, Any]"
    foreign_id: str
    data: BaseModel
    encoded: bytes = field(repr=False)  # the data as it was when the child was started
    start_at: Status  # the workflow's start, if none was named
    joins: bool  # if its foreign id has an unfinished run, that run becomes the child
    cascades: bool  # the child is cancelled with the parent
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Effects(Protocol):
    """Carries out what a function asks of its run."""

    def once(self, name: str, call: Callable[[], object]) -> Coroutine[Any, Any, object]:
        """Return the result that is stored under the name in this visit. If there is none, make the
        call and store its result.

        Args:
            name: Names the result within the visit.
            call: A partial without parameters. See `callables.is_async` for where to call it. Its
                result may be an awaitable.

        Raises:
            InvalidInput: At once, before it is awaited, where nothing can await it.
        """
        ...

    def start(self, child: ChildStart) -> None:
        """Start the child with the transition that the function's result makes."""
        ...

    def cancelled(self) -> CancelledEvent:
        """Return the attempt's event, always the same one. Thread-safe."""
        ...

    def labels(self, stored: Mapping[str, str]) -> Labels:
        """Return the run's labels. What a function changes is written with its transition.

        stored: The labels, as the record has them.
        """
        ...


class Unbound:
    """The effects of a run that was made by hand: calls are made, and children are noted."""

    def __init__(self) -> None:
        self.started: list[ChildStart] = []
        # made at its first use, so that a run can be copied and pickled until then
        self._cancelled: CancelledEvent | None = None
        self._labels: Labels | None = None

    async def once(self, name: str, call: Callable[[], object]) -> object:
        result = call()
        return await cast(Awaitable[object], result) if inspect.isawaitable(result) else result

    def start(self, child: ChildStart) -> None:
        self.started.append(child)

    def cancelled(self) -> CancelledEvent:
        if self._cancelled is None:
            self._cancelled = CancelledEvent()
        return self._cancelled

    def labels(self, stored: Mapping[str, str]) -> Labels:
        if self._labels is None:
            self._labels = Labels(stored)
        return self._labels


class ReadOnly:
    """The effects of a run that no function works on, as a client reads it."""

    def once(self, name: str, call: Callable[[], object]) -> Coroutine[Any, Any, object]:
        self._refuse("run.once")

    def start(self, child: ChildStart) -> None:
        self._refuse("run.start")

    def cancelled(self) -> CancelledEvent:
        self._refuse("run.cancelled")

    def labels(self, stored: Mapping[str, str]) -> Labels:
        return Labels(stored, self._refuse)

    def _refuse(self, what: str) -> NoReturn:
        raise InvalidInput(
            what,
            "this run was only read; use the run that a step or another function of the workflow"
            " gets",
        )


READ_ONLY = ReadOnly()


def checked_call(
    name: object, function: Callable[..., object], args: Any, kwargs: Any
) -> tuple[str, Callable[[], object]]:
    """Return the arguments of `run.once` as `Effects.once` takes them. Raises InvalidInput."""
    text = _checked_key("run.once, the name", name)
    if not callable(function):
        raise InvalidInput(
            f"run.once({text!r})",
            f"give the function and its arguments, one after the other, not {shown(function)}",
        )
    return text, partial(function, *args, **kwargs)


def checked_child(
    workflow: Any,
    foreign_id: object,
    data: Any,
    *,
    start_at: Any,
    if_active: object,
    cascade: object,
    labels: object,
) -> ChildStart:
    """Check the arguments of `run.start`. Raises InvalidInput."""
    if not hasattr(workflow, "status_of"):  # a Workflow can't be imported here
        raise InvalidInput(
            "run.start, workflow", f"hand in the child's Workflow itself, not {shown(workflow)}"
        )
    start = workflow.start if start_at is None else start_at
    if not isinstance(start, workflow.statuses):
        known = next(iter(workflow.statuses))
        raise InvalidInput(
            "run.start, start_at",
            f"{shown(start)} is not a status of workflow {workflow.name!r}; give one, e.g. {known}",
        )
    if if_active not in IF_ACTIVE:
        raise InvalidInput(
            "run.start, if_active", f'it is "refuse" or "join", not {shown(if_active)}'
        )
    key = _checked_key("run.start, foreign_id", foreign_id)
    encoded: bytes = workflow.encode(data)
    if len(encoded) > MAX_DATA:
        raise InvalidInput(
            "run.start, data", f"it is {len(encoded)} bytes long; {MAX_DATA} are allowed"
        )
    return ChildStart(
        workflow=workflow,
        foreign_id=key,
        data=data,
        encoded=encoded,
        start_at=start,
        joins=if_active == "join",
        cascades=checked_flag("run.start, cascade", cascade),
        labels={} if labels is None else checked_labels("run.start, labels", labels),
    )


def _checked_key(what: str, key: object) -> str:
    text = checked_text(what, key)
    if not text:
        raise InvalidInput(what, "it is empty; give each its own")
    if why := flaw_of_key(text):
        raise InvalidInput(what, why)
    return text
