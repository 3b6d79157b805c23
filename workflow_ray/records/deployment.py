"""What should run: kept in the record store, so that it outlives every process and Ray's own
memory.
"""

import msgspec

SUPERSEDED = 20
"""Digests of earlier definitions that a deployment remembers."""


class DeployedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as the deployment knows it.

    A deploy changes it as follows. Everything that an operator has set stays.

    - `reference` is the workflow's identity: a deploy of another reference under the same name is
      refused unless it is told to replace the first. The folder may change.
    - With another `code` the roles on Ray are restarted, and the earlier digest goes into
      `superseded`.
    - A deploy whose digest is in `superseded` is refused unless it is told to roll back. A local
      worker with such code joins, and deploys nothing.
    """

    name: str
    reference: str
    """module:attribute of the definition; of a script, the name that it would be imported by. The
    attribute is empty where no name of the module is bound to the workflow.
    """
    python_path: tuple[str, ...] = ()  # folders, in front of sys.path, that the module is found in
    # a digest of the modules that the definition loads from its own path; "": it has no file
    code: str = ""
    # digests that were deployed before this one, the newest last, at most SUPERSEDED of them
    superseded: tuple[str, ...] = ()
    statuses: dict[str, int]
    partitions: int
    groups: dict[str, int]  # a group of roles -> its shards, as the code has it
    # a group -> the shards that an operator set: they hold until they are reset, whatever the code
    # says
    scaled: dict[str, int] = {}
    draining: tuple[str, ...] = ()
    """Groups that are about to be scaled: until the next version of the deployment, or for 5
    seconds, workers finish and release their roles and start none.
    """

    def shards(self, group: str) -> int:
        """How many shards the group has."""
        return self.scaled.get(group, self.groups[group])


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The target. `version` goes up by one with every change; 0: nothing was deployed yet."""

    store_id: str
    version: int = 0
    workflows: tuple[DeployedWorkflow, ...] = ()
