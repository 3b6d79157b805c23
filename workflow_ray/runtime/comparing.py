"""Compares the code of a workflow with what is deployed."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from workflow_ray.coding import coded
from workflow_ray.engine.definition_changes import Change, Sign, changes_of, kept_settings
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import DeployedWorkflow, RunQuery
from workflow_ray.records.encoded import opened
from workflow_ray.runtime.deploying import describe, redeployed
from workflow_ray.runtime.hosting import AnyWorkflow
from workflow_ray.runtime.redeploying import is_changed
from workflow_ray.runtime.stranding import FINISHED, count_unfinished, find_stranded, sample


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy of one workflow would do."""

    workflow: str
    deployed: bool  # False: it is a new workflow
    changes: Sequence[Change] = ()
    kept: Sequence[str] = ()  # the settings of operators that stay
    refused: Sequence[str] = ()  # why the deploy would be refused; none: it would be made

    @property
    def differs(self) -> bool:
        """Whether a deploy would change anything."""
        return not self.deployed or bool(self.changes)


async def compare(records: RecordStore, workflow: AnyWorkflow) -> Comparison:
    """Compare a workflow with what is deployed under its name. It writes nothing.

    Raises:
        InvalidDefinition: It has mistakes.
        NotImportable: Other processes can't import it.
    """
    described = describe(workflow)
    deployment = await records.deployment()
    before = next((each for each in deployment.workflows if each.name == workflow.name), None)
    if before is None:
        return Comparison(workflow=workflow.name, deployed=False)
    unfinished = await count_unfinished(records, workflow.name)
    return Comparison(
        workflow=workflow.name,
        deployed=True,
        changes=[
            *changes_of(before, described, unfinished),
            *await _lost_codecs(records, before, described, workflow),
        ],
        kept=kept_settings(before, described),
        refused=await _refusals(records, before, described, workflow),
    )


async def _lost_codecs(
    records: RecordStore,
    before: DeployedWorkflow,
    described: DeployedWorkflow,
    workflow: AnyWorkflow,
) -> list[Change]:
    """Find codecs that the code does not have, and that have encoded data of finished runs.

    A deploy is not refused because of them: no run needs them to go on.
    """
    if not is_changed(before, described):
        return []
    query = RunQuery(workflow=workflow.name, run_states=FINISHED)
    some = await sample(coded(records, workflow), query)
    lost = Counter(envelope.codec for each in some if (envelope := opened(each.data)))
    return [
        Change(kind="codec", change=Sign.GONE, what=name, finished=runs, read=len(some))
        for name, runs in sorted(lost.items())
    ]


async def _refusals(
    records: RecordStore,
    before: DeployedWorkflow,
    described: DeployedWorkflow,
    workflow: AnyWorkflow,
) -> list[str]:
    refused: list[str] = []
    after = described
    try:
        after = redeployed(before, described)
    except WorkflowError as error:
        refused.append(str(error))
    if is_changed(before, after):
        found = await find_stranded(records, before, after, workflow)
        refused += [str(finding) for finding in found]
    return refused
