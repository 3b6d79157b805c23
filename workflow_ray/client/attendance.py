"""Whether some process runs a workflow's steps, for waits that do not go on."""

import logging
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from workflow_ray.definition import Workflow, known_as
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import Awaits, Record, consumer_group

log = logging.getLogger(__name__)

MayRun: TypeAlias = Callable[[Sequence[str]], Awaitable[bool]]
"""Tells whether a live process may have a role of these groups."""


class Attendance:
    """Finds out whether a process has acquired the roles of a workflow's steps.

    A process that has a role names itself in the role's positions until it releases the role. A
    process that was killed is still named there: only `may_run` can tell that it is gone.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        records: RecordStore,
        place: str = "URL",
        may_run: MayRun | None = None,
    ) -> None:
        """Make it. Nothing is asked yet.

        Args:
            workflow: The workflow of the runs that are waited for.
            records: The store. A question that it does not answer is not repeated.
            place: Where the records are, without a password, for the command that is shown.
            may_run: Tells whether a live process may have a role of some groups. None: unknown.
        """
        self._workflow = workflow
        self._records = records
        self._place = place
        self._may_run = may_run
        self._has_warned = False

    async def warn_if_nobody_runs_it(self) -> None:
        """Log a warning, once, if no process runs any of the workflow's functions."""
        if self._has_warned:
            return
        statuses = self._workflow.checked().statuses_with_functions
        groups = [self._group(status.value) for status in statuses]
        if await self._is_any_held(groups) or self._has_warned:
            return
        self._has_warned = True
        log.warning(
            "workflow %r: %s", self._workflow.name, self._advice("its runs do not go on", "it")
        )

    async def excuse(self, record: Record) -> str:
        """Return a sentence if no process runs the function that a run waits for, else ""."""
        statuses = self._workflow.checked().statuses_with_functions
        status = next((each for each in statuses if each.value == record.status), None)
        if status is None or record.awaits not in (Awaits.EVENT, Awaits.MESSAGE):
            return ""
        if await self._is_any_held([self._group(record.status)], record.partition):
            return ""
        what = "the step" if self._workflow.checked().step(status) else "the functions"
        return self._advice("the run does not go on", f"{what} of {status.name}")

    def _group(self, status: int) -> str:
        return consumer_group(self._workflow.name, status)

    async def _is_any_held(self, groups: Sequence[str], partition: int | None = None) -> bool:
        """Return whether a process has a role of one of the groups. True if that is unknown.

        partition: Only the role that works on this partition counts. None: any role.
        """
        try:
            if self._may_run is not None and not await self._may_run(groups):
                return False
            for group in groups:
                for position in await self._records.positions(group):
                    if position.in_use and partition in (None, position.partition):
                        return True
        except WorkflowError:
            return True
        return False

    def _advice(self, effect: str, what: str) -> str:
        reference = known_as(self._workflow)
        if reference.endswith(":"):
            reference = "MODULE:ATTRIBUTE"
        command = f"workflow-ray worker {reference} --records {shlex.quote(self._place)}"
        return f"no process runs {what}, so {effect}. Start one: `{command}`"
