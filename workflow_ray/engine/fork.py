"""Forks: new runs that begin as another run was at one of its versions. Pure, but for the users'
functions that set times.
"""

from typing import TypeVar

import msgspec
from pydantic import BaseModel

from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.idempotency import digest_of
from workflow_ray.engine.next_version import kept
from workflow_ray.engine.runs import first_write
from workflow_ray.records import Cause, Record, Write, new_run_id, new_write_id

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


def fork_of(
    workflow: Workflow[D, S],
    past: Record,
    *,
    foreign_id: str,
    status: S,
    data: bytes,
    by: str,
    reason: str | None,
    idempotency_key: str | None,
) -> Write:
    """Make the first write of a run that begins at the status, and with the data, of another one.

    Args:
        workflow: The workflow of both runs.
        past: The other run as it was at the version.
        foreign_id: The new run's.
        status: That of the version.
        data: That of the version, as the code stores it now.
        by: Who asks for it.
        reason: Why.
        idempotency_key: The new run's. None: it has no key.

    Raises:
        InvalidInput: A timeout of the status can't be set.
    """
    write = first_write(
        workflow,
        foreign_id,
        data,
        status,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by=by,
        idempotency_key=idempotency_key,
        digest=None if idempotency_key is None else digest_of(foreign_id, data, status.value),
        labels=past.labels,
    )
    why = f"fork of run {past.run_id} at version {past.version}"
    text = why if reason is None else f"{why}: {reason}"
    return msgspec.structs.replace(write, cause=Cause.FORKED, reason=kept(text))
