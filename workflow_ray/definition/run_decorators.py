"""The decorators of functions that take a run further."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.declarations import (
    CallbackDeclaration,
    ChildDeclaration,
    ChildrenDeclaration,
    StepDeclaration,
    TimeoutDeclaration,
    is_function,
    named,
)
from workflow_ray.definition.declaring import Declaring
from workflow_ray.definition.decorator_types import (
    CallbackDecorator,
    ChildDecorator,
    ChildrenDecorator,
    StepDecorator,
    TimeoutDecorator,
)
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.retry import DEFAULT_RETRY, Retry
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.run_effects import OfData, OfStatus
from workflow_ray.definition.source import calling_frame

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow


class RunDecorators(Declaring, Generic[D, S]):
    """Declares the functions that are called with a run and return where it goes on.

    A function takes the run, what it is called for, and then resources
    (`stock: Warehouse = warehouse.value`). Its return annotation, made of Literals of statuses and
    of halts, lists what it may return.

    An async function runs in the event loop, a plain one in a thread. Where the function is
    decorated, what is called decides: a plain wrapper runs in a thread, and an awaitable that it
    returns is awaited in the event loop. The annotations are read through functools.wraps.

    All decorators raise InvalidDefinition if the workflow was put to use before. Other mistakes are
    collected, and `checked` raises them.
    """

    def step(
        self,
        status: S,
        *,
        shards: int = 1,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        max_in_flight: int = 100,
        timeout: Duration | None = None,
        transactional: bool = False,
        flow: FlowControl[D, S] | None = None,
        ray: RayOptions | None = None,
        breaker: Breaker | None = None,
    ) -> StepDecorator[D, S]:
        """Declare the decorated function as the step of the runs at `status`.

        The function takes the run, then resources (`stock: Warehouse = warehouse.value`). Its
        return annotation, made of Literals of statuses and of halts, lists what it may return.

        An async function runs in the event loop, a plain one in a thread. Where the function is
        decorated, what is called decides: a plain wrapper runs in a thread, and an awaitable that
        it returns is awaited in the event loop. The annotations are read through functools.wraps.

        Args:
            status: The status whose runs take the step.
            shards: The number of roles that share the work, from 1 to the workflow's partitions.
            retry: When a failed attempt is made again.
            on_failure: The status that a run enters when its attempts are used up, or when the step
                raises Fatal. None: the run is paused with the error.
            max_in_flight: The number of runs that one role works on at a time.
            timeout: How long an attempt may take, in seconds or as a timedelta. An attempt that
                takes longer has failed: an async function is cancelled; a plain one goes on in its
                thread, and its result is dropped. None: no limit.
            transactional: Hand the step a session of SQLAlchemy in the records' database, in a
                parameter with the annotation AsyncSession (an async function, on PostgreSQL and
                MariaDB) or Session (a plain one, on SQLite). What it writes is committed with the
                transition, or not at all.
            flow: Limits how many runs take the step at a time, or in a period. None: no limits, and
                none can be set while the workflow runs.
            ray: What each role's actor asks of a Ray cluster. None: nothing.
            breaker: When runs are held back for a while, because the last attempts have
                failed. None: never.

        Raises:
            InvalidDefinition: The workflow was put to use before. Other mistakes are collected, and
                `checked` raises them.
        """
        declaration = partial(
            StepDeclaration,
            statuses=(status,),
            retry=retry,
            on_failure=on_failure,
            timeout=timeout,
            shards=shards,
            max_in_flight=max_in_flight,
            transactional=transactional,
            flow=flow,
            ray=ray,
            breaker=breaker,
        )
        frame = calling_frame()
        if is_function(status):  # `@workflow.step` without parentheses
            return cast(StepDecorator[D, S], self._declare(cast(Any, status), frame, declaration))
        made = self._decorator(f"a step of {named(status)}", frame, declaration)
        return cast(StepDecorator[D, S], made)

    def callback(
        self,
        *statuses: S,
        early: Duration = 0.0,
        retry: Retry = DEFAULT_RETRY,
        timeout: Duration | None = None,
    ) -> CallbackDecorator[D, S]:
        """Declare the decorated function as the one that takes messages from outside.

        The function takes the run, the message, then resources. Its name is the callback's name,
        unique in the workflow. The annotation of the message is a pydantic model, or anything else
        that pydantic reads from JSON.

        A function that fails for good leaves the run as it is; the sender is told why.

        Args:
            statuses: The statuses that accept the message. Each may have several callbacks.
            early: How long a message is kept that comes while the run is at another status from
                which it can still come to one of these, in seconds or as a timedelta. By default it
                is refused.
            retry: When a failed attempt is made again.
            timeout: How long an attempt may take, in seconds or as a timedelta. None: no limit.

        Raises:
            InvalidDefinition: See `step`.
        """
        declaration = partial(
            CallbackDeclaration,
            statuses=statuses,
            retry=retry,
            timeout=timeout,
            early=early,
        )
        frame = calling_frame()
        if len(statuses) == 1 and is_function(statuses[0]):  # without parentheses
            function = cast(Any, statuses[0])
            return cast(CallbackDecorator[D, S], self._declare(function, frame, declaration))
        listed = " and ".join(map(named, statuses)) or "no status"
        made = self._decorator(f"a callback of {listed}", frame, declaration)
        return cast(CallbackDecorator[D, S], made)

    def timeout(
        self,
        status: S,
        *,
        after: Duration | None = None,
        at: Callable[[Run[D, S]], datetime] | None = None,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        timeout: Duration | None = None,
    ) -> TimeoutDecorator[D, S]:
        """Declare the decorated function as the one that is called if a run stays for too long.

        The function takes the run, then resources. Its name is the timeout's name, unique in the
        workflow. Each time that a run enters the status, the timeout is set again; a run that
        leaves the status ends it.

        Args:
            status: The status whose runs have the timeout. It may have several.
            after: The time from entering the status, in seconds or as a timedelta.
            at: Takes the run as it enters the status, and returns the time, with a timezone. A
                plain function, which is called in the event loop: it must not wait. Exactly one of
                `after` and `at` is given.
            retry: When a failed attempt is made again.
            on_failure: The status that a run enters when the attempts are used up, or when the
                function raises Fatal. None: the run is paused with the error.
            timeout: How long an attempt may take, in seconds or as a timedelta. None: no limit.

        Raises:
            InvalidDefinition: See `step`.
        """
        declaration = partial(
            TimeoutDeclaration,
            statuses=(status,),
            retry=retry,
            on_failure=on_failure,
            timeout=timeout,
            after=after,
            at=at,
        )
        frame = calling_frame()
        if is_function(status):  # without parentheses
            function = cast(Any, status)
            return cast(TimeoutDecorator[D, S], self._declare(function, frame, declaration))
        made = self._decorator(f"a timeout of {named(status)}", frame, declaration)
        return cast(TimeoutDecorator[D, S], made)

    def child(
        self,
        status: S,
        workflow: "Workflow[OfData, OfStatus]",
        *,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        timeout: Duration | None = None,
    ) -> ChildDecorator[D, S, OfData, OfStatus]:
        """Declare the decorated function as the one that is called when a child has ended.

        The function takes the run, the child's run, then resources. It is called for each child
        that ends while the run is at the status, and for each that ended before.

        Args:
            status: The status whose runs wait for children.
            workflow: The workflow of the children.
            retry: When a failed attempt is made again.
            on_failure: The status that a run enters when the attempts are used up, or when the
                function raises Fatal. None: the run is paused with the error.
            timeout: How long an attempt may take, in seconds or as a timedelta. None: no limit.

        Raises:
            InvalidDefinition: See `step`.
        """
        declaration = partial(
            ChildDeclaration,
            statuses=(status,),
            retry=retry,
            on_failure=on_failure,
            timeout=timeout,
            child=workflow,
        )
        made = self._decorator(f"a child function of {named(status)}", calling_frame(), declaration)
        return cast(ChildDecorator[D, S, OfData, OfStatus], made)

    def children(
        self,
        status: S,
        workflow: "Workflow[OfData, OfStatus]",
        *,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        timeout: Duration | None = None,
    ) -> ChildrenDecorator[D, S, OfData, OfStatus]:
        """Declare the decorated function as the one that is called when the last child has ended.

        The function takes the run, its `Children` of the workflow, then resources. It is called
        once, at once if there are none.

        Args:
            status: The status whose runs wait for children.
            workflow: The workflow of the children.
            retry: When a failed attempt is made again.
            on_failure: The status that a run enters when the attempts are used up, or when the
                function raises Fatal. None: the run is paused with the error.
            timeout: How long an attempt may take, in seconds or as a timedelta. None: no limit.

        Raises:
            InvalidDefinition: See `step`.
        """
        declaration = partial(
            ChildrenDeclaration,
            statuses=(status,),
            retry=retry,
            on_failure=on_failure,
            timeout=timeout,
            child=workflow,
        )
        made = self._decorator(
            f"a children function of {named(status)}", calling_frame(), declaration
        )
        return cast(ChildrenDecorator[D, S, OfData, OfStatus], made)
