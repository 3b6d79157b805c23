"""The execution of a function for one run. What the function raises becomes an outcome."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from workflow_ray.definition import Fatal, Resource, Retry, Run, Status, Step, Workflow
from workflow_ray.definition.retry import DEFAULT_RETRY
from workflow_ray.engine.error_text import SHOWN, is_group, leaves_of, text_of
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.engine.newer_data import holding, newer_data_in
from workflow_ray.engine.runs import run_of
from workflow_ray.engine.transition import AnyFunction, Failed, HeldBack, Outcome, Returned
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.effects import AttemptEffects, EffectsOfRole
from workflow_ray.roles.message_arguments import MessageArguments
from workflow_ray.roles.surrounded import surrounded
from workflow_ray.roles.threads import Threads

CANCELLED = "asyncio.CancelledError"
SESSION = ContextVar[object]("SESSION")
"""The session that the transactional step of this context takes."""
T = TypeVar("T")


class Execution:
    """Executes the functions of one status, whose resources are open."""

    def __init__(
        self,
        functions: tuple[AnyFunction, ...],
        resources: Mapping[Resource[Any], object],
        effects: EffectsOfRole,
        arguments: MessageArguments,
        threads: Threads,
        otherwise: Callable[[Attempt], Awaitable[Outcome]],
    ) -> None:
        """otherwise: Does the work of an attempt that has no function."""
        self._workflow = effects.workflow
        self._effects = effects
        self._arguments = arguments
        self._threads = threads
        self._otherwise = otherwise
        # by the identity of the function, because its hash is that of all its fields
        self._calls = {id(function): self._call(function, resources) for function in functions}

    def _call(
        self, function: AnyFunction, resources: Mapping[Resource[Any], object]
    ) -> tuple[Callable[..., Any], bool]:
        """Make what is called for a function, and whether a call of that only makes a coroutine."""
        call = bound(function, resources)
        if not self._workflow.middleware:
            return call, function.is_async
        return surrounded(self._workflow, function, call, self._threads), True

    async def outcome(self, attempt: Attempt) -> Outcome:
        """Run the function on a fresh copy of the data.

        What it raises ends the attempt, and never the role. Run this as the whole work of a task,
        and read the outcome by `outcome_of`.
        """
        function = attempt.function
        if function is None:
            return await self._otherwise(attempt)
        call, is_async = self._calls[id(function)]
        effects = AttemptEffects(attempt, self._effects)
        run: Run[Any, Any]
        value: object
        try:
            if attempt.message is None:
                run = run_of(self._workflow, attempt.record, effects)
            else:
                run, *more = await self._arguments.of(attempt, attempt.message, effects)
                call = _with_more(call, more)
            if is_async:
                value = await call(run)
            else:
                value, error = await self._threads.call(partial(call, run), attempt.record.run_id)
                if error is not None:
                    return not_returned(error, attempt, function.retry)
                if inspect.isawaitable(value):  # a plain wrapper of an async function
                    value = await value
            if effects.started is not None:
                await effects.encode_children()
        except BaseException as error:
            if is_interrupt(error):
                raise
            return not_returned(error, attempt, function.retry)
        return result_of(self._workflow, attempt, function, run.data, value, effects)


def result_of(
    workflow: Workflow[Any, Any],
    attempt: Attempt,
    function: AnyFunction,
    new: object,
    value: object,
    effects: AttemptEffects,
) -> Outcome:
    """Make the outcome of what the function has returned, and of the data that it has left."""
    try:
        data = workflow.encode(new)
    except InvalidInput as error:  # another attempt would make the same data
        return Failed(str(error), fatal=True)
    except BaseException as error:  # the validators of a data model are user code
        if is_interrupt(error):
            raise
        return failed(error, function.retry)
    stored = attempt.record
    # data of an earlier version is written in the version of the code, also if it looks the same
    is_same = data == stored.data and stored.data_version == workflow.data_version
    changed = None if is_same else data
    if why := _flaw_of(function, value, changed):
        return Failed(why, fatal=True)
    children = () if effects.started is None else tuple(effects.started)
    labels = None if effects.labelled is None else effects.labelled.changed()
    return Returned(value, changed, children, labels)  # type: ignore[arg-type]  # it is allowed


def bound(function: AnyFunction, resources: Mapping[Resource[Any], object]) -> Callable[..., Any]:
    """The user's function, with the values of its resources."""
    values = {name: resources[resource] for name, resource in function.resources.items()}
    call = partial(function.function, **values)
    if isinstance(function, Step) and function.session is not None:
        return partial(_with_session, call, function.session)
    return call


def _with_session(call: Callable[..., Any], name: str, run: Run[Any, Any]) -> Any:
    """Call a transactional step with the session of its attempt."""
    return call(run, **{name: SESSION.get()})


def _with_more(call: Callable[..., Any], more: Sequence[object]) -> Callable[[Any], Any]:
    """Add the arguments that come after the run."""
    return lambda run: call(run, *more)


def _flaw_of(function: AnyFunction, value: object, data: bytes | None) -> str | None:
    """Check the result at run time, as a type checker would do. Returns what is wrong."""
    is_status = isinstance(value, Status)
    if not (value in function.returns if is_status else type(value) in function.halts):
        return (
            f"{function.name} returned {format_result(value)}, which its annotation doesn't list"
            f" ({function.where})"
        )
    if data is not None and len(data) > MAX_DATA:
        return f"{function.name} made the data {len(data)} bytes long; {MAX_DATA} are allowed"
    return None


def outcome_of(task: asyncio.Task[T]) -> T | Failed:
    """The outcome of a task that ran `Execution.outcome`, or another call of a user's function."""
    try:
        return task.result()
    except (
        asyncio.CancelledError
    ):  # the step did it: a task that others cancel is not asked for its outcome
        return Failed("CancelledError: the step cancelled its own task", kind=CANCELLED)
    except BaseException as error:
        return failed(error)


def not_returned(error: BaseException, attempt: Attempt, retry: Retry) -> Failed | HeldBack:
    """Make the outcome of an error that a function, or the reading of its run, has raised.

    Data of a later version holds the run back: newer code goes on with it.
    """
    newer = newer_data_in(error)
    if newer is None:
        return failed(error, retry)
    return holding(newer, attempt.record, attempt.event, attempt.message)


def failed(error: BaseException, retry: Retry = DEFAULT_RETRY) -> Failed:
    """Make the outcome of an error.

    It is fatal if it is Fatal or of a type in the `fatal` of `retry`, and a group of errors if one
    of them is.
    """
    kinds: tuple[type[BaseException], ...] = (Fatal, *retry.fatal)
    errors = sorted(leaves_of(error), key=lambda one: not isinstance(one, kinds))
    texts = list(dict.fromkeys(map(text_of, errors)))
    if len(texts) > SHOWN:
        texts = [*texts[:SHOWN], f"and {len(texts) - SHOWN} others"]
    text = "; ".join(texts)
    if is_group(error):
        text = f"{type(error).__qualname__}: {text}"
    fatal = any(isinstance(one, kinds) for one in (error, *errors))
    return Failed(text, fatal=fatal, raised=error)


def format_result(value: object) -> str:
    """Format a result without its values, which may be personal."""
    return str(value) if isinstance(value, Status) else f"a value of type {type(value).__name__}"
