"""Finds what codecs keep of runs that do not exist, or whose data was deleted."""

from datetime import timedelta
from typing import Any

from workflow_ray.coding.chains import Chain, chains_of
from workflow_ray.coding.forgetting import is_erased, look_up
from workflow_ray.definition import Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import RunId, run_id_at

AGE = timedelta(days=1)
"""How old a run must be: the first write of a younger one may still be on its way."""
PATIENCE = AGE / 2
"""For how long a client may repeat the first write of a run. The rest of AGE is for clocks of
processes that differ.
"""
PAGE = 500
"""Runs that are looked up at once."""


def check_patience(workflow: Workflow[Any, Any], patience: float) -> None:
    """Refuse a patience by which a sweep could cost a run its key or its objects.

    Args:
        workflow: The workflow of a client.
        patience: Seconds for which it repeats a call.

    Raises:
        InvalidInput: It is more than PATIENCE, and the workflow has codecs.
    """
    if chains_of(workflow) is not None and patience > PATIENCE.total_seconds():
        hours = PATIENCE.total_seconds() / 3600
        why = f"a workflow with codecs has {hours:g} hours at most, not {patience:g} s"
        later = "`sweep_codecs` deletes what codecs keep of a run that does not exist after a day"
        raise InvalidInput("patience", f"{why}: {later}")


async def sweep(workflow: Workflow[Any, Any], records: RecordStore, clock: Clock) -> int:
    """Delete what the codecs of a workflow keep of runs that do not exist, or whose data was
    deleted. It is left by processes that died between two writes.

    Args:
        workflow: The workflow. Its codecs keep things of its own runs only.
        records: The store of the runs.
        clock: Tells how old runs are.

    Returns:
        The number of runs.
    """
    chains = chains_of(workflow)
    chain = None if chains is None else chains.of(workflow.name)
    if chain is None:
        return 0
    limit = run_id_at(clock.now() - AGE)
    return sum([await _sweep(chain, name, records, limit) for name in chain.codecs])


async def _sweep(chain: Chain, codec: str, records: RecordStore, limit: RunId) -> int:
    number, after = 0, None
    while page := await chain.codecs[codec].kept(after=after, limit=PAGE):
        after = page[-1]
        old = [run_id for run_id in page if run_id < limit]
        found = await look_up(records, old)
        gone = [run_id for run_id in old if is_erased(found.get(run_id))]
        if gone:
            await chain.forget(gone)
            number += len(gone)
    return number
