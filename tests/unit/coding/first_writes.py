"""First writes of runs that look at what the store keeps with an idempotency key."""

from workflow_ray.records import (
    NO_VERSION,
    Cause,
    NewRun,
    RunState,
    Version,
    Write,
    new_run_id,
    new_write_id,
)


def write_with_key(workflow: str, key: str) -> Write:
    """A write that is answered with the digest of the key, if the key is used."""
    return Write(
        run_id=new_run_id(),
        write_id=new_write_id(),
        expected=NO_VERSION,
        status=1,
        run_state=RunState.INITIATED,
        visit=Version(1),
        cause=Cause.TRIGGER,
        by="test",
        data=b"{}",
        new=NewRun(workflow=workflow, foreign_id="other", partition=0, idempotency_key=key),
    )
