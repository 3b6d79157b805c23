"""The decorator of batch steps."""

from functools import partial
from typing import Any, Generic, cast

from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.declarations import BatchStepDeclaration, is_function, named
from workflow_ray.definition.declaring import Declaring
from workflow_ray.definition.decorator_types import BatchStepDecorator
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.retry import DEFAULT_RETRY, Retry
from workflow_ray.definition.run import D, S
from workflow_ray.definition.source import calling_frame


class BatchDecorators(Declaring, Generic[D, S]):
    """Declares the functions that take many runs further in one call."""

    def batch_step(
        self,
        status: S,
        *,
        max_batch: int = 64,
        max_wait: Duration = 0.02,
        max_batches: int = 1,
        shards: int = 1,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        timeout: Duration | None = None,
        flow: FlowControl[D, S] | None = None,
        ray: RayOptions | None = None,
        breaker: Breaker | None = None,
    ) -> BatchStepDecorator[D, S]:
        """Declare the decorated function as the step of the runs at `status`, many in one call.

        The function takes a list of runs, then resources. It returns one result for each run, in
        their order: a status, a halt, or an exception. The return annotation is a list, for example
        `list[Literal[OrderStatus.SCORED] | Exception]`.

        An exception in the list fails the attempt of its run alone; Fatal fails it for good. If the
        function raises, takes longer than its time limit, or returns another number of results than
        it has got runs, the batch is tried again at once in halves, with fresh copies of the data.
        Only the failure of a batch of one run counts as a failed attempt, of that run. After a
        crash of the process, the runs that it may have been working on are tried in batches of one.

        Args:
            status: The status whose runs take the step.
            max_batch: The most runs in one call, from 1 to 500. A batch of so many begins at once.
            max_wait: How long the first run of a batch waits for others, in seconds or as a
                timedelta. 0: the batch has the runs that are there at the same moment.
            max_batches: The calls that one role makes at a time, from 1 to 64. Each call of a plain
                function has a thread. While so many run, the next batch is collected.
            shards: The number of roles that share the work, from 1 to the workflow's partitions.
            retry: When a failed attempt of a run is made again.
            on_failure: The status that a run enters when its attempts are used up, or when it fails
                with Fatal. None: the run is paused with the error.
            timeout: How long one call may take, in seconds or as a timedelta. An async function
                that takes longer is cancelled; a plain one goes on in its thread, and its results
                are dropped. None: no limit.
            flow: Limits how many runs take the step at a time, or in a period. None: no limits, and
                none can be set while the workflow runs.
            ray: What each role's actor asks of a Ray cluster. None: nothing.
            breaker: When runs are held back for a while, because the last attempts at runs have
                failed. None: never.

        Raises:
            InvalidDefinition: The workflow was put to use before. Other mistakes are collected, and
                `checked` raises them.
        """
        declaration = partial(
            BatchStepDeclaration,
            statuses=(status,),
            retry=retry,
            on_failure=on_failure,
            timeout=timeout,
            shards=shards,
            max_in_flight=1,  # the reader computes it, once the other arguments are checked
            max_batch=max_batch,
            max_wait=max_wait,
            max_batches=max_batches,
            flow=flow,
            ray=ray,
            breaker=breaker,
        )
        frame = calling_frame()
        if is_function(status):  # without parentheses
            function = cast(Any, status)
            return cast(BatchStepDecorator[D, S], self._declare(function, frame, declaration))
        made = self._decorator(f"a batch step of {named(status)}", frame, declaration)
        return cast(BatchStepDecorator[D, S], made)
