"""Running a step's function for one run, and telling what came of it. It never raises what the
function raised.
"""

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
"""Errors of a group that a reason names, those that are Fatal first."""


class Execution:
    """One step, its resources open."""

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

        Whatever it raises ends the attempt, never the role; so this is a task's whole work, and
        `outcome_of` says what came of it.
        """
        try:
            run = run_of(self._workflow, record)
            if self._step.is_async:
                value = await self._function(run)
            else:
                value, error = await self._threads.call(partial(self._function, run))
                if error is not None:
                    return failed(error)
                if inspect.isawaitable(value):  # of an async function that a plain one wraps
                    value = await value
        except BaseException as error:
            if is_interrupt(error):
                raise
            return failed(error)
        try:
            data = self._workflow.encode(run.data)
        except InvalidInput as error:  # the step has run: to run it again would make the same
            return Failed(str(error), fatal=True)
        return self._checked(value, None if data == record.data else data)

    def _checked(self, value: object, data: bytes | None) -> Outcome:
        """Check at run time what a type checker would have checked."""
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
    """What came of a task that ran `Execution.outcome`."""
    try:
        return task.result()
    except (
        asyncio.CancelledError
    ):  # by the step itself: whoever cancels it from outside asks for no outcome
        return Failed("CancelledError: the step cancelled its own task")
    except BaseException as error:
        return failed(error)


def failed(error: BaseException) -> Failed:
    """A group of errors, as asyncio.TaskGroup raises it, is fatal if one of them is."""
    errors = sorted(_leaves(error), key=lambda one: not isinstance(one, Fatal))
    texts = list(dict.fromkeys(map(_text_of, errors)))
    if len(texts) > SHOWN:
        texts = [*texts[:SHOWN], f"and {len(texts) - SHOWN} others"]
    text = "; ".join(texts)
    if _is_group(error):
        text = f"{type(error).__qualname__}: {text}"
    return Failed(text, fatal=any(isinstance(one, Fatal) for one in errors), raised=error)


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors that are not groups, in order. Groups may be nested more deeply than Python calls
    functions.
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
    """A result, without what it holds: that may be personal."""
    return str(value) if isinstance(value, Status) else f"a value of type {type(value).__name__}"


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as failure:  # an error's text is a step's code too
        text = f"its text can't be had, for {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
