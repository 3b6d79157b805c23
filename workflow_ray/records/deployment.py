"""What should run. The record store keeps it, so it outlives every process and Ray's memory."""

import msgspec

SUPERSEDED = 20
"""The number of digests of earlier code that a deployment keeps for each workflow."""


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

    def shards(self, group: str) -> int:
        """Return the number of shards that the group has now."""
        return self.scaled.get(group, self.groups[group])


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """All workflows that should run. `version` goes up by one with every change.

    Version 0: nothing was deployed yet.
    """

    store_id: str
    version: int = 0
    workflows: tuple[DeployedWorkflow, ...] = ()
