"""Every error that a user or a role can meet.

Each says what was wrong, where, and what to do, in one line.

The constructor's arguments are the error's fields, all of them positional: errors cross processes,
and pickle calls cls(*args).
"""

from workflow_ray.errors.base import WorkflowError
from workflow_ray.errors.definitions import (
    DefinitionSuperseded,
    DuplicateWorkflow,
    InvalidDefinition,
    NotImportable,
    PartitionsChanged,
    StatusRenumbered,
    UnknownWorkflow,
    WorkflowNameTaken,
)
from workflow_ray.errors.roles import ResourceFailed, RoleLost, RoleRetired
from workflow_ray.errors.runs import (
    AmbiguousRun,
    ControlRefused,
    InvalidInput,
    NothingLeft,
    RunActive,
    RunNotFound,
    RunPaused,
    RunUnreachable,
    UnknownStatus,
    UnreadableData,
    WaitTimeout,
)
from workflow_ray.errors.runtimes import RuntimeUnavailable
from workflow_ray.errors.stores import (
    AccessDenied,
    AdapterNotInstalled,
    DeploymentConflict,
    NotAStore,
    SendFailed,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreMismatch,
    StoreMissing,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
    TopicMismatch,
    UnfitAdapter,
    UnknownScheme,
    WriteRejected,
)

__all__ = [
    "AccessDenied",
    "AdapterNotInstalled",
    "AmbiguousRun",
    "ControlRefused",
    "DefinitionSuperseded",
    "DeploymentConflict",
    "DuplicateWorkflow",
    "InvalidDefinition",
    "InvalidInput",
    "NotAStore",
    "NotImportable",
    "NothingLeft",
    "PartitionsChanged",
    "ResourceFailed",
    "RoleLost",
    "RoleRetired",
    "RunActive",
    "RunNotFound",
    "RunPaused",
    "RunUnreachable",
    "RuntimeUnavailable",
    "SendFailed",
    "StatusRenumbered",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreMismatch",
    "StoreMissing",
    "StoreReadOnly",
    "StoreTooNew",
    "StoreUnavailable",
    "TopicMismatch",
    "UnfitAdapter",
    "UnknownScheme",
    "UnknownStatus",
    "UnknownWorkflow",
    "UnreadableData",
    "WaitTimeout",
    "WorkflowError",
    "WorkflowNameTaken",
    "WriteRejected",
]
