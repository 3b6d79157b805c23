"""What should run. The record store keeps it, so it outlives every process and Ray's memory."""

import msgspec

from workflow_ray.records.parking import FlowLimits

SUPERSEDED = 20
"""The number of digests of earlier code that a deployment keeps for each workflow."""


class DeployedFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The flow control of a status, as the code says."""

    limits: FlowLimits = FlowLimits()
    keyed: bool = False  # whether runs have keys, so that limits per key can be set


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a definition was at its deploy, so that the next one can be compared with it."""

    data_version: int = 1
    # a digest of the JSON schema of the data model
    model: str = ""
    # (kind and name of a function, number of its status, numbers of the statuses that it may lead
    # to), sorted; the kind is the first word or words, such as "step" or "child function of"
    functions: tuple[tuple[str, int, tuple[int, ...]], ...] = ()
    # the statuses with flow control, by name
    flow: dict[str, DeployedFlow] = {}
    # statuses of earlier code, by name, that this code does not have; their numbers, by which their
    # runs are found
    gone: dict[str, int] = {}


class DeployedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as the deployment knows it.

    A deploy changes it as follows. What an operator has set stays.

    - `reference` is the workflow's identity: a deploy of another reference under the same name is
      refused unless it replaces the first on purpose. The folder may change.
    - With another `code` the roles on Ray are restarted, and the earlier digest goes into
      `superseded`.
    - A deploy whose digest is in `superseded` is refused unless it rolls back on purpose. A local
      worker with such code joins, and deploys nothing.
    """

    name: str
    reference: str
    """module:attribute of the definition. For a script it is the name that would import it. The
    attribute is empty if no name of the module is bound to the workflow.
    """
    # the folders in front of sys.path in which the module is found
    python_path: tuple[str, ...] = ()
    # a digest of the modules that the definition loads from its own path; "" if it has no file
    code: str = ""
    # digests that were deployed before this one, the newest last, at most SUPERSEDED of them
    superseded: tuple[str, ...] = ()
    statuses: dict[str, int]
    partitions: int
    groups: dict[str, int]  # a group of roles -> its shards, as the code says
    # a group -> the shards that an operator set; they take precedence until they are reset
    scaled: dict[str, int] = {}
    draining: tuple[str, ...] = ()
    """Groups that are about to be scaled. Until the next version of the deployment, or for 5
    seconds, workers finish and release roles of these groups and start none.
    """

    paused: tuple[str, ...] = ()
    """Schedules that an operator has paused."""

    limits: dict[str, FlowLimits] = {}
    """The limits that an operator has set, by the name of the status. They take precedence over
    those of the code until they are reset.
    """

    shape: Shape | None = None
    """None: the code that deployed it did not tell."""

    def shards(self, group: str) -> int:
        """Return the number of shards that the group has now."""
        return self.scaled.get(group, self.groups[group])

    @property
    def flow(self) -> dict[str, DeployedFlow]:
        """The statuses with flow control, by name."""
        return {} if self.shape is None else self.shape.flow

    def limits_at(self, status: str) -> FlowLimits | None:
        """Return the limits that apply at a status now. None: it has no flow control.

        An operator may have set limits per key while the code had keys. Without keys all runs have
        the same one, and such limits would apply to all of them.
        """
        flow = self.flow.get(status)
        if flow is None:
            return None
        limits = self.limits.get(status, flow.limits)
        if flow.keyed:
            return limits
        return msgspec.structs.replace(limits, concurrency_per_key=None, rate_per_key=None)


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """All workflows that should run. `version` goes up by one with every change.

    Version 0: nothing was deployed yet.
    """

    store_id: str
    version: int = 0
    workflows: tuple[DeployedWorkflow, ...] = ()
