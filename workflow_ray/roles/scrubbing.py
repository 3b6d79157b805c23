"""The scrubber of a workflow, as the data role calls it."""

from functools import partial
from typing import Any

from workflow_ray.definition import Scrubber, Workflow
from workflow_ray.engine.runs import view_of
from workflow_ray.records import Record
from workflow_ray.roles.calling import value_of
from workflow_ray.roles.resources import Opened
from workflow_ray.roles.schedule_function import encoded
from workflow_ray.roles.surrounded import Surrounded
from workflow_ray.roles.threads import Threads


class Scrubbing:
    """Calls the scrubber of a workflow, whose resources are open."""

    def __init__(
        self, workflow: Workflow[Any, Any], scrubber: Scrubber, resources: Opened, threads: Threads
    ) -> None:
        self._workflow = workflow
        self._is_async = scrubber.is_async
        self._threads = threads
        self._function = partial(
            scrubber.function,
            **{name: resources.values[used] for name, used in scrubber.resources.items()},
        )
        self._around: Surrounded | None = None
        if workflow.middleware:
            self._around = Surrounded(workflow, "scrub", scrubber.name, scrubber.is_async, threads)
        self.retry = scrubber.retry

    async def kept(self, record: Record, attempt: int) -> bytes:
        """Return what the scrubber keeps of a run's data, as it is stored. Raises what it raises.

        InvalidInput: It has not returned data of the workflow's model.
        """
        run = view_of(self._workflow, record)  # it may do without data that the code can't read
        function = partial(self._function, run)
        if self._around is not None:
            data = await self._around.call(function, attempt, run=run)
        else:
            data = await value_of(
                function, is_async=self._is_async, threads=self._threads, run_id=record.run_id
            )
        return encoded(self._workflow, data)
