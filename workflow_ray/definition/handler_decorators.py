"""The decorators of connectors, schedules, hooks and scrubbers."""

from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Concatenate, Generic, cast, overload

from workflow_ray.definition.declarations import (
    ConnectorDeclaration,
    HookDeclaration,
    ScheduleDeclaration,
    ScrubDeclaration,
    named,
)
from workflow_ray.definition.declaring import Declaring
from workflow_ray.definition.decorator_types import (
    ConnectorDecorator,
    HandlerResult,
    HookDecorator,
    ScheduleDecorator,
    ScrubDecorator,
)
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.handlers import Overlap
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.retry import DEFAULT_RETRY, Retry
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.run_effects import P
from workflow_ray.definition.source import calling_frame
from workflow_ray.ports import ConnectorSource
from workflow_ray.records import RunState

HOUR = 3600.0
"""Seconds."""


class HandlerDecorators(Declaring, Generic[D, S]):
    """Declares the functions that are called for something else than to take a run further.

    All decorators raise InvalidDefinition if the workflow was put to use before. Other mistakes are
    collected, and `checked` raises them.
    """

    def connector(
        self,
        name: str,
        source: ConnectorSource,
        *,
        shards: int = 1,
        retry: Retry = DEFAULT_RETRY,
        ordered: bool = False,
        ray: RayOptions | None = None,
    ) -> ConnectorDecorator[D, S]:
        """Declare the decorated function as the one that takes the messages of an outside log.

        The function takes a client of the workflow, the message, then resources. It is called at
        least once for each message. A message whose attempts are used up is set aside.

        Args:
            name: Names the connector in the workflow, for good: its positions are kept by it. Up to
                100 of A-Z a-z 0-9 . and _.
            source: The log.
            shards: The number of roles that share the partitions of the log, from 1 up.
            retry: When a failed attempt is made again.
            ordered: Whether the messages of a key wait until an earlier one of that key that has
                failed is set aside.
            ray: What each role's actor asks of a Ray cluster. None: nothing.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        declaration = partial(
            ConnectorDeclaration,
            label=name,
            source=source,
            shards=shards,
            retry=retry,
            ordered=ordered,
            ray=ray,
        )
        made = self._decorator(f"connector {named(name)}", calling_frame(), declaration)
        return cast(ConnectorDecorator[D, S], made)

    def schedule(
        self,
        name: str,
        *,
        cron: str | None = None,
        timezone: str | None = None,
        every: Duration | None = None,
        overlap: Overlap = "skip",
        catch_up: Duration = HOUR,
        jitter: Duration = 0.0,
    ) -> ScheduleDecorator[D]:
        """Declare the decorated function as the one that makes the data of a run at each tick.

        The function takes the tick, a datetime with the schedule's timezone, and returns the data,
        or None if the tick is to start no run. The run's foreign id is made of the name and the
        tick.

        Args:
            name: Names the schedule in the workflow, for good. Up to 100 of A-Z a-z 0-9 . and _.
            cron: The ticks, as the five fields of a crontab (minute, hour, day of month, month, day
                of week), or six with the second first. Exactly one of `cron` and `every` is given.
            timezone: Of `cron`: the IANA name, e.g. "Europe/Berlin". Default: UTC.
            every: The time from tick to tick, in seconds or as a timedelta: whole milliseconds. The
                ticks are its multiples since 1970-01-01 00:00 UTC.
            overlap: What a tick does if the run of the last tick is not finished: "skip" leaves it
                out, "queue" triggers it afterwards, "allow" triggers it at once.
            catch_up: How late a tick may be, whatever has delayed it; later ones are skipped. In
                seconds or as a timedelta. A tick that is up to 10 seconds late is always run.
            jitter: The most by which the trigger of a tick is delayed, in seconds or as a
                timedelta. The delay of a tick is always the same.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        declaration = partial(
            ScheduleDeclaration,
            label=name,
            cron=cron,
            timezone=timezone,
            every=every,
            overlap=overlap,
            catch_up=catch_up,
            jitter=jitter,
        )
        frame = calling_frame()
        if callable(name):  # without parentheses
            return cast(ScheduleDecorator[D], self._declare(name, frame, declaration))
        made = self._decorator(f"schedule {named(name)}", frame, declaration)
        return cast(ScheduleDecorator[D], made)

    @overload
    def on_pause(
        self, function: Callable[Concatenate[Run[D, S], P], HandlerResult], /
    ) -> Callable[Concatenate[Run[D, S], P], HandlerResult]: ...
    @overload
    def on_pause(self, *, retry: Retry = DEFAULT_RETRY) -> HookDecorator[D, S]: ...
    def on_pause(self, function: AnyFunction | None = None, *, retry: Retry = DEFAULT_RETRY) -> Any:
        """Declare the decorated function as one that is called when a run has been paused.

        The function takes the run, then resources. It is called at least once, after the run has
        been written, and by then the run may have moved on. Nothing waits for it.

        Args:
            function: The function, if the decorator is written without parentheses.
            retry: When a failed call is made again.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        return self._hook(RunState.PAUSED, function, retry, calling_frame())

    @overload
    def on_cancel(
        self, function: Callable[Concatenate[Run[D, S], P], HandlerResult], /
    ) -> Callable[Concatenate[Run[D, S], P], HandlerResult]: ...
    @overload
    def on_cancel(self, *, retry: Retry = DEFAULT_RETRY) -> HookDecorator[D, S]: ...
    def on_cancel(
        self, function: AnyFunction | None = None, *, retry: Retry = DEFAULT_RETRY
    ) -> Any:
        """Declare the decorated function as one that is called when a run has been cancelled.

        See `on_pause`.

        Args:
            function: The function, if the decorator is written without parentheses.
            retry: When a failed call is made again.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        return self._hook(RunState.CANCELLED, function, retry, calling_frame())

    @overload
    def on_complete(
        self, function: Callable[Concatenate[Run[D, S], P], HandlerResult], /
    ) -> Callable[Concatenate[Run[D, S], P], HandlerResult]: ...
    @overload
    def on_complete(self, *, retry: Retry = DEFAULT_RETRY) -> HookDecorator[D, S]: ...
    def on_complete(
        self, function: AnyFunction | None = None, *, retry: Retry = DEFAULT_RETRY
    ) -> Any:
        """Declare the decorated function as one that is called when a run has completed.

        See `on_pause`.

        Args:
            function: The function, if the decorator is written without parentheses.
            retry: When a failed call is made again.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        return self._hook(RunState.COMPLETED, function, retry, calling_frame())

    @overload
    def scrub(
        self, function: Callable[Concatenate[Run[D, S], P], Coroutine[Any, Any, D]], /
    ) -> Callable[Concatenate[Run[D, S], P], Coroutine[Any, Any, D]]: ...
    @overload
    def scrub(
        self, function: Callable[Concatenate[Run[D, S], P], D], /
    ) -> Callable[Concatenate[Run[D, S], P], D]: ...
    @overload
    def scrub(self, *, retry: Retry = DEFAULT_RETRY) -> ScrubDecorator[D, S]: ...
    def scrub(self, function: AnyFunction | None = None, *, retry: Retry = DEFAULT_RETRY) -> Any:
        """Declare the decorated function as the one that says what is kept when data is deleted.

        The function takes the run, then resources, and returns the data to keep, for example a copy
        without a name and an address. It is also the place to delete what belongs to the run
        elsewhere, such as files. It is called at least once for each run whose data is deleted (see
        `Client.delete_data`), before anything is deleted. A workflow has one at most; without one,
        nothing of the data is kept.

        Args:
            function: The function, if the decorator is written without parentheses.
            retry: When a failed call is made again. After the last one the run's data stays, until
                its deletion is asked for again.

        Raises:
            InvalidDefinition: The workflow was put to use before.
        """
        declaration = partial(ScrubDeclaration, retry=retry)
        frame = calling_frame()
        if function is not None:
            return self._declare(function, frame, declaration)
        return self._decorator("a scrubber", frame, declaration)

    def _hook(
        self, run_state: RunState, function: AnyFunction | None, retry: Retry, frame: FrameType
    ) -> Any:
        declaration = partial(HookDeclaration, run_state=run_state, retry=retry)
        if function is not None:
            return self._declare(function, frame, declaration)
        return self._decorator(f"a hook for {run_state.name}", frame, declaration)
