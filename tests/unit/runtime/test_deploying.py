"""Adding a program's workflows to the deployment, and refusing them (E15, U7)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.parcels import packing
from tests.unit.runtime.test_hosting import FIRST, SECOND, shipping
from workflow_ray.errors import (
    DefinitionSuperseded,
    NotImportable,
    PartitionsChanged,
    StatusRenumbered,
    WorkflowNameTaken,
)
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    DeployedWorkflow,
    Deployment,
    bulk_group,
    data_group,
)
from workflow_ray.records.deployment import SUPERSEDED
from workflow_ray.runtime.deploy_terms import DeployTerms
from workflow_ray.runtime.deploying import describe, describe_here, merge, merge_or_join
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


class Watched(MemoryStore):
    """Counts the changes that deploys make."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.changes = 0

    async def prepare(self, topics: Any) -> None:
        self.changes += 1
        await super().prepare(topics)

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        self.changes += 1
        return await super().deploy(expected, workflows)


@pytest.fixture
def store() -> Watched:
    return Watched()


def version(number: int, **changes: Any) -> DeployedWorkflow:
    """Make the workflow `orders` as a version of the code has it."""
    workflow = DeployedWorkflow(
        name="orders",
        reference="shop:orders",
        python_path=("/srv/shop",),
        statuses={"NEW": 1},
        partitions=16,
        groups={PUBLISHER: 1},
    )
    return replace(workflow, code=f"code {number}", **changes)


async def refused(
    store: Watched, error: type[Exception], *workflows: DeployedWorkflow, **terms: bool
) -> str:
    """Return the error of a refused deploy, which has written nothing and made no topic."""
    before, changes = await store.deployment(), store.changes
    with pytest.raises(error) as raised:
        await merge(store, workflows, DeployTerms(**terms))
    assert (await store.deployment(), store.changes) == (before, changes)
    message = str(raised.value)
    assert "\n" not in message
    return message


# --- what is deployed ---------------------------------------------------------------------------


def test_a_deployed_workflow_tells_how_to_import_it_and_what_it_needs() -> None:
    described = describe(shipping)
    assert (described.name, described.reference) == ("shipping", f"{shipping.module}:shipping")
    assert described.statuses == {"NEW": 1, "PACKED": 2, "SENT": 3, "LOST": 4}
    assert described.partitions == 4
    own = {FIRST: 2, SECOND: 1, bulk_group("shipping"): 1, data_group("shipping"): 1}
    assert described.groups == {**own, PUBLISHER: 1, SWEEPER: 1}


def test_a_workflow_that_other_processes_cannot_import_is_deployed_for_this_one_only() -> None:
    with pytest.raises(NotImportable):
        describe(packing())
    assert describe_here(packing()).reference == "tests.unit.parcels:"


async def test_merging_adds_workflows_and_replaces_those_of_the_same_name(store: Watched) -> None:
    first = await merge(store, [describe(shipping), describe_here(packing())])
    assert [workflow.name for workflow in first.workflows] == ["shipping", "parcels"]
    changed = replace(describe(shipping), groups={FIRST: 1, SECOND: 1})
    second = await merge(store, [changed])
    assert [workflow.name for workflow in second.workflows] == ["shipping", "parcels"]
    assert second.workflows[0].groups[FIRST] == 1


async def test_merging_what_is_deployed_already_changes_nothing(store: Watched) -> None:
    first = await merge(store, [describe(shipping), describe_here(packing())])
    assert await merge(store, [describe_here(packing())]) == first
    assert await merge(store, [describe_here(packing()), describe(shipping)]) == first


async def test_two_merges_at_once_lose_neither_workflow(store: Watched) -> None:
    await asyncio.gather(
        merge(store, [describe(shipping)]), merge(store, [describe_here(packing())])
    )
    assert {workflow.name for workflow in (await store.deployment()).workflows} == {
        "shipping",
        "parcels",
    }


async def test_numbers_that_runs_are_stored_under_cannot_change(store: Watched) -> None:
    before = await merge(store, [describe_here(packing())])
    described = describe_here(packing())
    renumbered = DeployedWorkflow(
        name=described.name,
        reference="",
        statuses={"NEW": 1, "DONE": 3},
        partitions=described.partitions,
        groups=described.groups,
    )
    with pytest.raises(
        StatusRenumbered, match=r"parcels\.DONE is 3 in the code and 2 in this deployment's records"
    ):
        await merge(store, [renumbered])
    with pytest.raises(PartitionsChanged, match="partitions=8 in the code and 16"):
        await merge(store, [describe_here(packing(partitions=8))])
    assert await store.deployment() == before


# --- older code ---------------------------------------------------------------------------------


async def deploys(store: Watched, *numbers: int) -> Deployment:
    deployment = await store.deployment()
    for number in numbers:
        deployment = await merge(store, [version(number)])
    return deployment


async def test_an_older_definition_does_not_replace_a_newer_one(store: Watched) -> None:
    await deploys(store, 1, 2, 3)
    message = await refused(store, DefinitionSuperseded, version(1))
    assert message.startswith(
        "workflow 'orders': the code of shop:orders (/srv/shop) was deployed before, and replaced"
        " by other code 2 deploys ago."
    )
    assert "--rollback" in message
    assert "rollback=True" in message
    assert "one deploy ago" in await refused(store, DefinitionSuperseded, version(2))


async def test_one_older_definition_holds_up_the_whole_deploy(store: Watched) -> None:
    await deploys(store, 1, 2)
    await refused(store, DefinitionSuperseded, describe(shipping), version(1))


async def test_a_rollback_deploys_older_code_and_what_it_replaced_is_the_older_one_then(
    store: Watched,
) -> None:
    await deploys(store, 1, 2)
    (orders,) = (await merge(store, [version(1)], DeployTerms(rollback=True))).workflows
    assert (orders.code, orders.superseded) == ("code 1", ("code 2",))
    await refused(store, DefinitionSuperseded, version(2))
    (orders,) = (await merge(store, [version(2)], DeployTerms(rollback=True))).workflows
    assert (orders.code, orders.superseded) == ("code 2", ("code 1",))


async def test_the_last_digests_are_remembered_and_no_more(store: Watched) -> None:
    deployment = await deploys(store, *range(SUPERSEDED + 2))
    assert deployment.workflows[0].superseded == tuple(
        f"code {number}" for number in range(1, SUPERSEDED + 1)
    )


async def test_code_without_a_digest_is_neither_older_nor_remembered(store: Watched) -> None:
    await deploys(store, 1)
    (orders,) = (await merge(store, [replace(version(1), code="")])).workflows
    assert (orders.code, orders.superseded) == ("", ("code 1",))
    (orders,) = (await merge(store, [replace(version(1), code="", groups={SWEEPER: 1})])).workflows
    assert orders.superseded == ("code 1",)


async def test_a_process_with_older_code_joins_and_deploys_nothing(
    store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    newest = await deploys(store, 1, 2)
    assert await merge_or_join(store, [version(1)]) == newest
    assert "workflow 'orders': other code has replaced this process's" in caplog.text
    assert "--rollback" in caplog.text
    caplog.clear()
    assert await merge_or_join(store, [version(2)]) == newest
    assert (await merge_or_join(store, [version(3)])).workflows[0].superseded == (
        "code 1",
        "code 2",
    )
    assert (await merge_or_join(store, [version(1)], DeployTerms(rollback=True))).workflows[
        0
    ].code == "code 1"
    assert caplog.text == ""


async def test_a_process_with_older_code_of_one_workflow_deploys_its_others(store: Watched) -> None:
    await deploys(store, 1, 2)
    joined = await merge_or_join(store, [version(1), describe(shipping)])
    assert [(workflow.name, workflow.code == "code 2") for workflow in joined.workflows] == [
        ("orders", True),
        ("shipping", False),
    ]


# --- one name -----------------------------------------------------------------------------------


async def test_another_definition_of_a_deployed_name_is_refused_with_both_places(
    store: Watched,
) -> None:
    mine = describe(shipping)
    await merge(store, [mine])
    message = await refused(
        store,
        WorkflowNameTaken,
        replace(mine, reference="old.flows:shipping", python_path=("/srv/old",)),
    )
    here = (
        f"workflow 'shipping' is deployed here from {shipping.module}:shipping ({shipping.where}), "
    )
    assert message.startswith(f"{here}and this is old.flows:shipping (/srv/old).")
    assert "--replace" in message
    assert "replace=True" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": "billing:orders"},
        {"reference": "shop:more_orders"},
        {"reference": "billing:"},
        {"reference": "shop.flows:orders", "python_path": ("/srv/shop",)},
    ],
)
async def test_another_module_or_attribute_is_another_workflow_unless_told(
    store: Watched, changes: dict[str, Any]
) -> None:
    await deploys(store, 1)
    other = version(2, **changes)
    await refused(store, WorkflowNameTaken, other)
    with pytest.raises(WorkflowNameTaken):
        await merge_or_join(store, [other])
    (orders,) = (await merge(store, [other], DeployTerms(replace=True))).workflows
    assert (orders.reference, orders.superseded) == (other.reference, ("code 1",))
    assert (await merge(store, [other])).workflows == (orders,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"python_path": ("/home/me/checkout",)}),
        (
            {"reference": "flows.shop:orders", "python_path": ("/srv",)},
            {"reference": "shop:orders", "python_path": ("/srv/flows",)},
        ),
        ({}, {"reference": "shop:"}),
        ({"reference": "shop:"}, {}),
        ({"reference": ""}, {}),
        ({}, {"statuses": {"NEW": 1, "DONE": 2}}),
    ],
    ids=[
        "another folder",
        "another name of one file",
        "made in a function",
        "made outside of it",
        "stored by earlier code",
        "edited",
    ],
)
async def test_a_workflow_that_was_edited_or_is_in_another_folder_is_the_same(
    store: Watched, before: dict[str, Any], after: dict[str, Any]
) -> None:
    await merge(store, [version(1, **before)])
    (orders,) = (await merge(store, [version(2, **after)])).workflows
    assert (orders.code, orders.superseded) == ("code 2", ("code 1",))


async def test_what_cannot_be_used_is_refused_before_topics_are_made(store: Watched) -> None:
    await deploys(store, 1)
    await refused(store, StatusRenumbered, version(2, statuses={"NEW": 2}))
    await refused(store, PartitionsChanged, version(2, partitions=8))
