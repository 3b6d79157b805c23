"""What a consumer works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_ray.definition import Resource, Status, Workflow
from workflow_ray.records import Role
from workflow_ray.roles.transacting import TransactionWork


@dataclass(frozen=True)
class StepWork:
    """The work of a consumer, and in tests the values that replace resources."""

    role: Role
    workflow: Workflow[Any, Any]
    status: Status
    replaced: Mapping[Resource[Any], object]
    transactions: TransactionWork | None = None  # if its step is transactional
