"""Whether some process runs a workflow's steps, for waits that do not go on."""

import logging
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from workflow_ray.definition import Workflow, known_as
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import Awaits, Record, consumer_group

log = logging.getLogger(__name__)


class Attendance:
    """Finds out whether a process has acquired the roles of a workflow's steps.

    A process that has a role names itself in the role's positions until it releases the role. One
    that was killed is still named there, so that it is missed only where `is_served` tells.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        records: RecordStore,
        place: str = "URL",
        is_served: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Make it, without asking anything.

        Args:
            workflow: The one whose runs are waited for.
            records: Asked once for each question, without repeating it where it does not answer.
            place: Where the records are, for the command that is shown. Without a password.
            is_served: Whether any process runs roles on the records; None: that can't be told.
        """
        self._workflow = workflow
        self._records = records
        self._place = place
        self._is_served = is_served
        self._has_warned = False

    async def warn_if_nobody_runs_it(self) -> None:
        """Log a warning where no process runs any of the workflow's steps; once."""
        if self._has_warned:
            return
        groups = [self._group(step.status.value) for step in self._workflow.checked().steps]
        if await self._is_any_held(groups) or self._has_warned:
            return
        self._has_warned = True
        log.warning(
            "workflow %r: %s", self._workflow.name, self._advice("its runs do not go on", "it")
        )

    async def excuse(self, record: Record) -> str:
        """Say that no process runs the step that a run waits for, if so; else ""."""
        steps = self._workflow.checked().steps
        step = next((step for step in steps if step.status.value == record.status), None)
        if step is None or record.awaits is not Awaits.EVENT:
            return ""
        if await self._is_any_held([self._group(record.status)], record.partition):
            return ""
        return self._advice("the run does not go on", f"the step of {step.status.name}")

    def _group(self, status: int) -> str:
        return consumer_group(self._workflow.name, status)

    async def _is_any_held(self, groups: Sequence[str], partition: int | None = None) -> bool:
        """Whether a process has a role of one of the groups; True where that can't be told.

        partition: Only the role that works on this one. None: any.
        """
        try:
            if self._is_served is not None and not await self._is_served():
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
