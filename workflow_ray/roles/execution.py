"""The execution of a step's function for one run. What the function raises becomes an outcome."""

import asyncio
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeGuard

from workflow_ray.definition import Fatal, Status, Step, Workflow
from workflow_ray.engine.runs import run_of
from workflow_ray.engine.transition import Failed, Outcome, Returned
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA, Record
from workflow_ray.roles.interrupts import is_interrupt
from workflow_ray.roles.threads import Threads

SHOWN = 10
"""The errors of a group that a reason names; Fatal ones come first."""


class Execution:
    """Executes one step, whose resources are open."""

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        step: Step[Any],
        resources: Mapping[str, object],
        threads: Threads,
    ) -> None:
        self._workflow = workflow
        self._step = step
        self._function = partial(step.function, **resources)
        self._threads = threads

    async def outcome(self, record: Record) -> Outcome:
        """Run the function on a fresh copy of the data.

        What it raises ends the attempt, and never the role. Run this as the whole work of a task,
        and read the outcome by `outcome_of`.
        """
        try:
            run = run_of(self._workflow, record)
            if self._step.is_async:
                value = await self._function(run)
            else:
                value, error = await self._threads.call(partial(self._function, run))
                if error is not None:
                    return failed(error)
                if inspect.isawaitable(value):  # a plain wrapper of an async function
                    value = await value
        except BaseException as error:
            if is_interrupt(error):
                raise
            return failed(error)
        try:
            data = self._workflow.encode(run.data)
        except InvalidInput as error:  # another attempt would make the same data
            return Failed(str(error), fatal=True)
        return self._checked(value, None if data == record.data else data)

    def _checked(self, value: object, data: bytes | None) -> Outcome:
        """Check the result at run time, as a type checker would do."""
        step = self._step
        allowed = value in step.returns if isinstance(value, Status) else type(value) in step.halts
        if not allowed:
            return Failed(
                f"{step.name} returned {_format_result(value)}, which its annotation doesn't list"
                f" ({step.where})",
                fatal=True,
            )
        if data is not None and len(data) > MAX_DATA:
            return Failed(
                f"{step.name} made the data {len(data)} bytes long; {MAX_DATA} are allowed",
                fatal=True,
            )
        return Returned(value, data)  # type: ignore[arg-type]  # what is allowed is a status or a halt


def outcome_of(task: asyncio.Task[Outcome]) -> Outcome:
    """The outcome of a task that ran `Execution.outcome`."""
    try:
        return task.result()
    except (
        asyncio.CancelledError
    ):  # the step did it: a task that others cancel is not asked for its outcome
        return Failed("CancelledError: the step cancelled its own task")
    except BaseException as error:
        return failed(error)


def failed(error: BaseException) -> Failed:
    """Make the outcome of an error. A group of errors is fatal if one of them is Fatal."""
    errors = sorted(_leaves(error), key=lambda one: not isinstance(one, Fatal))
    texts = list(dict.fromkeys(map(_text_of, errors)))
    if len(texts) > SHOWN:
        texts = [*texts[:SHOWN], f"and {len(texts) - SHOWN} others"]
    text = "; ".join(texts)
    if _is_group(error):
        text = f"{type(error).__qualname__}: {text}"
    return Failed(text, fatal=any(isinstance(one, Fatal) for one in errors), raised=error)


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors inside of nested groups, in order.

    It does not call itself, because groups may be nested more deeply than Python allows calls.
    """
    leaves: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if _is_group(one):
            left += reversed(one.exceptions)
        else:
            leaves.append(one)
    return leaves


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)


def _format_result(value: object) -> str:
    """Format a result without its values, which may be personal."""
    return str(value) if isinstance(value, Status) else f"a value of type {type(value).__name__}"


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as failure:  # __str__ is user code, and may raise anything
        text = f"its text can't be made, because of {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
