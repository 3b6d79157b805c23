"""Cases of RecordStore.deployment and .deploy: what should run."""

import asyncio

import pytest
from msgspec.structs import replace

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, StatusRenumbered
from workflow_ray.ports import RecordStore
from workflow_ray.records import DeployedWorkflow, Deployment, FlowLimits, Rate, Shape
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import deploy, workflow

ORDERS, INVOICES = workflow("orders"), workflow("invoices", groups={"invoices-1-consumer": 3})


class DeploymentCases(Conformance):
    async def test_a_new_store_runs_nothing(self, store: RecordStore) -> None:
        deployment = await store.deployment()
        assert deployment == Deployment(store_id=deployment.store_id, version=0, workflows=())
        assert deployment.store_id

    async def test_the_last_deploy_says_what_should_run(self, store: RecordStore) -> None:
        full = DeployedWorkflow(
            name="naïve_orders",
            reference="shop.orders:orders",
            python_path=("/srv/my shop", "/srv/ünï"),
            statuses={"CREATED": 1, "GONE": 1000},
            partitions=16,
            groups={"naïve_orders-1-consumer": 16},
        )
        first = await deploy(store, ORDERS)
        second = await deploy(store, ORDERS, full)
        assert (first.version, first.workflows) == (1, (ORDERS,))
        assert (second.version, second.workflows) == (2, (ORDERS, full))
        assert await store.deployment() == second

    async def test_limits_and_the_shape_of_a_definition_are_kept_until_a_deploy_changes_them(
        self, store: RecordStore
    ) -> None:
        limits = {
            "CREATED": FlowLimits(concurrency=5, rate_per_key=Rate(count=1, seconds=0.25)),
            "PAID": FlowLimits(concurrency_per_key=2, rate=Rate(count=100, seconds=60)),
            "SHIPPED": FlowLimits(),
        }
        shape = Shape(
            data_version=3, model="sha256:ünï", functions=(("pay", 1, (2, 3)), ("ship", 2, ()))
        )
        full = replace(ORDERS, limits=limits, shape=shape)
        await deploy(store, full, INVOICES)
        assert (await store.deployment()).workflows == (full, INVOICES)
        await deploy(store, ORDERS, INVOICES)
        assert (await store.deployment()).workflows == (ORDERS, INVOICES)

    async def test_a_workflow_that_a_deploy_leaves_out_is_retired(self, store: RecordStore) -> None:
        await deploy(store, ORDERS, INVOICES)
        await deploy(store, INVOICES)
        assert (await store.deployment()).workflows == (INVOICES,)

    async def test_a_deploy_that_expects_an_old_version_is_refused(
        self, store: RecordStore
    ) -> None:
        await deploy(store, ORDERS)
        with pytest.raises(DeploymentConflict) as refusal:
            await store.deploy(0, [INVOICES])
        assert (refusal.value.expected, refusal.value.found) == (0, 1)
        assert (await store.deployment()).workflows == (ORDERS,)

    async def test_one_of_many_concurrent_deploys_wins(self, store: RecordStore) -> None:
        answers = await asyncio.gather(
            *(store.deploy(0, [ORDERS]) for _ in range(10)), return_exceptions=True
        )
        assert (
            sorted(type(answer).__name__ for answer in answers)
            == ["Deployment"] + ["DeploymentConflict"] * 9
        )
        assert (await store.deployment()).version == 1

    # --- what is kept for good ------------------------------------------------------------------

    async def test_a_renumbered_status_is_refused_and_nothing_is_deployed(
        self, store: RecordStore
    ) -> None:
        before = await deploy(store, workflow(statuses={"CREATED": 1, "PAID": 2}))
        with pytest.raises(StatusRenumbered) as refusal:
            await deploy(store, INVOICES, workflow(statuses={"CREATED": 1, "PAID": 3}))
        error = refusal.value
        assert (error.workflow, error.status, error.stored, error.found) == ("orders", "PAID", 2, 3)
        assert await store.deployment() == before
        # the refused deploy has stored no numbers
        await deploy(store, workflow("invoices", partitions=INVOICES.partitions * 2, groups={}))

    async def test_numbers_that_are_exchanged_are_refused(self, store: RecordStore) -> None:
        await deploy(store, workflow(statuses={"CREATED": 1, "PAID": 2}))
        with pytest.raises(StatusRenumbered):
            await deploy(store, workflow(statuses={"CREATED": 2, "PAID": 1}))

    async def test_a_new_status_may_be_added(self, store: RecordStore) -> None:
        await deploy(store, workflow(statuses={"CREATED": 1}))
        wider = workflow(statuses={"CREATED": 1, "PAID": 2})
        assert (await deploy(store, wider)).workflows == (wider,)

    async def test_a_status_that_a_deploy_leaves_out_keeps_its_number(
        self, store: RecordStore
    ) -> None:
        await deploy(store, workflow(statuses={"CREATED": 1, "PAID": 2}))
        await deploy(store, workflow(statuses={"CREATED": 1}))
        with pytest.raises(StatusRenumbered):
            await deploy(store, workflow(statuses={"CREATED": 1, "PAID": 3}))

    async def test_a_retired_workflow_keeps_its_numbers_and_partitions(
        self, store: RecordStore
    ) -> None:
        await deploy(store, workflow(statuses={"CREATED": 1}, partitions=4))
        await deploy(store)
        with pytest.raises(StatusRenumbered):
            await deploy(store, workflow(statuses={"CREATED": 2}, partitions=4))
        with pytest.raises(PartitionsChanged):
            await deploy(store, workflow(statuses={"CREATED": 1}, partitions=8))
        assert (await deploy(store, workflow(statuses={"CREATED": 1}, partitions=4))).version == 3

    async def test_each_workflow_has_numbers_of_its_own(self, store: RecordStore) -> None:
        mine, theirs = (
            workflow("orders", statuses={"CREATED": 1}),
            workflow("invoices", statuses={"CREATED": 7}, groups={}),
        )
        assert (await deploy(store, mine, theirs)).workflows == (mine, theirs)

    async def test_another_number_of_partitions_is_refused(self, store: RecordStore) -> None:
        before = await deploy(store, workflow(partitions=4))
        with pytest.raises(PartitionsChanged) as refusal:
            await deploy(store, workflow(partitions=8))
        assert (refusal.value.workflow, refusal.value.stored, refusal.value.found) == (
            "orders",
            4,
            8,
        )
        assert await store.deployment() == before
