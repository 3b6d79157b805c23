"""A workflow in several versions of its code: what each version lacks is an argument."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from workflow_ray import Run, Status, Workflow


class At(Status):
    NEW = 1
    WAITING = 2
    PACKED = 3
    DONE = 4


class Fewer(Status):
    """PACKED is gone."""

    NEW = 1
    WAITING = 2
    DONE = 4


class Job(BaseModel):
    weight: int = 0


class Strict(BaseModel):
    weight: int
    colour: str


JobRun: TypeAlias = Run[Job, Any]


def jobs(
    statuses: Any = At,
    model: type[Any] = Job,
    *,
    without: Collection[str] = (),
    moved: Mapping[str, Status] | None = None,
    data_version: int = 1,
    migration: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Workflow[Any, Any]:
    """NEW -> WAITING -> (callback, timeout) PACKED -> DONE.

    Args:
        statuses: At or Fewer.
        model: The model of the data.
        without: The functions that the version does not have.
        moved: As for Workflow.
        data_version: Of the data.
        migration: Migrates from each earlier version. By default it changes nothing.
    """
    workflow: Workflow[Any, Any] = Workflow(
        "jobs",
        model,
        statuses,
        entry=tuple(statuses),
        moved=moved,
        data_version=data_version,
    )
    at = statuses

    async def pick(run: JobRun) -> Any: ...
    async def paid(run: JobRun, message: int) -> Any:
        return at.DONE

    async def expire(run: JobRun) -> Any: ...
    async def pack(run: JobRun) -> Any: ...

    for function in (pick, paid, expire, pack):
        target = at.WAITING if function is pick else at.DONE
        function.__annotations__["return"] = Literal[target]
    decorators: dict[str, Any] = {
        "pick": lambda: workflow.step(at.NEW)(pick),
        "paid": lambda: workflow.callback(at.WAITING)(paid),
        "expire": lambda: workflow.timeout(at.WAITING, after=3600)(expire),
    }
    if "PACKED" in at.__members__:
        decorators["pack"] = lambda: workflow.step(at.PACKED)(pack)
    for name, decorate in decorators.items():
        if name not in without:
            decorate()
    _migrate(workflow, migration)
    return workflow


def _migrate(
    workflow: Workflow[Any, Any], migration: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Migrate from each earlier version of the data."""
    for version in range(1, workflow.data_version):

        @workflow.migrate(version)
        def migrate(data: dict[str, Any]) -> dict[str, Any]:
            return migration(data)
