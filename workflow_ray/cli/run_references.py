"""Finds the run that a user names: by its run id, the beginning of one, or its foreign id."""

from collections.abc import Sequence
from uuid import UUID

from workflow_ray.errors import AmbiguousRun, RunNotFound, UnknownWorkflow
from workflow_ray.ports import RecordStore
from workflow_ray.records import Record, RunId, RunQuery, flaw_of_key

LOWEST = "00000000-0000-0000-0000-000000000000"
SHORTEST = 6
"""The least characters of a run id: many runs share the first ones, which are the time."""
SHOWN = 5
"""Runs that the error about an ambiguous text lists."""


class RunReferences:
    """Looks up runs in some workflows of a store."""

    def __init__(self, store: RecordStore, workflows: Sequence[str]) -> None:
        self._store = store
        self._workflows = workflows

    async def find(self, text: str) -> Record:
        """Find the run that the text names. A foreign id names its newest run.

        Raises:
            RunNotFound: There is none.
            AmbiguousRun: There are several.
        """
        if record := await self._by_id(text.lower()):
            return record
        found = {
            record.run_id: record
            for record in [*await self._by_prefix(text.lower()), *await self._by_foreign_id(text)]
        }
        if len(found) > 1:
            raise AmbiguousRun(
                text,
                [
                    f"{record.workflow} {record.foreign_id} {record.run_id}"
                    for record in found.values()
                ][:SHOWN],
            )
        if not found:
            raise RunNotFound(None, text)
        return next(iter(found.values()))

    async def _by_id(self, text: str) -> Record | None:
        if len(text) != len(LOWEST):
            return None
        (record,) = await self._store.lookup([RunId(text)])
        return record if record is not None and record.workflow in self._workflows else None

    async def _by_prefix(self, text: str) -> list[Record]:
        if not SHORTEST <= len(text) < len(LOWEST):
            return []
        after = _just_below(text)
        if after is None:
            return []
        pages = [
            await self._store.runs(RunQuery(workflow=workflow, after=after, limit=2))
            for workflow in self._workflows
        ]
        return [record for page in pages for record in page if record.run_id.startswith(text)]

    async def _by_foreign_id(self, text: str) -> list[Record]:
        if flaw_of_key(text):
            return []
        found = [(await self._store.latest(workflow, [text]))[0] for workflow in self._workflows]
        return [record for record in found if record is not None]


def _just_below(prefix: str) -> RunId | None:
    """Return the greatest run id below all that begin with a prefix. None: no run id does."""
    lowest = prefix + LOWEST[len(prefix) :]
    try:
        number = UUID(lowest)
    except ValueError:
        return None
    if str(number) != lowest or not number.int:
        return None
    return RunId(str(UUID(int=number.int - 1)))


def choose_workflows(known: Sequence[str], asked: str | None) -> Sequence[str]:
    """Return the workflow that was asked for, or else all. Raises UnknownWorkflow."""
    if asked is None:
        return known
    if asked not in known:
        raise UnknownWorkflow(asked, sorted(known))
    return [asked]
