"""What should run: kept in the record store, so that it outlives every process and Ray's own memory."""

import msgspec


class DeployedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as the deployment knows it."""

    name: str
    reference: str  # module:attribute of the definition
    python_path: tuple[str, ...] = ()  # folders, in front of sys.path, that the module is found in
    code: str = ""  # a digest of the module's source: another one starts the workflow's roles anew
    statuses: dict[str, int]
    partitions: int
    groups: dict[str, int]  # a group of roles -> its shards


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The target. `version` goes up by one with every change; 0: nothing was deployed yet."""

    store_id: str
    version: int = 0
    workflows: tuple[DeployedWorkflow, ...] = ()
