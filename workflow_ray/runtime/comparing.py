"""Compares the code of a workflow with what is deployed."""

from collections.abc import Sequence

import msgspec

from workflow_ray.engine.definition_changes import Change, changes_of, kept_settings
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.deploying import describe, redeployed
from workflow_ray.runtime.hosting import AnyWorkflow
from workflow_ray.runtime.redeploying import is_changed
from workflow_ray.runtime.stranding import count_unfinished, find_stranded


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
        changes=changes_of(before, described, unfinished),
        kept=kept_settings(before, described),
        refused=await _refusals(records, before, described, workflow),
    )


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
