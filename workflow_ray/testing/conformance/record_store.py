"""All that a RecordStore must do. The fences that it checks are given out by RoleScheduler.take on the same store."""

from workflow_ray.testing.conformance.deployments import DeploymentCases
from workflow_ray.testing.conformance.outbox import OutboxCases
from workflow_ray.testing.conformance.queries import QueryCases
from workflow_ray.testing.conformance.triggers import TriggerCases
from workflow_ray.testing.conformance.writes import WriteCases


class RecordStoreConformance(WriteCases, TriggerCases, QueryCases, DeploymentCases, OutboxCases):
    """For a `store` that is a RecordStore and a RoleScheduler."""
