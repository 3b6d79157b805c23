"""The results of the commands that change a deployment. These are the fields of their JSON."""

from collections.abc import Sequence

import msgspec


class DeployedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy has changed for one workflow."""

    workflow: str
    change: str  # started, restarted or unchanged
    roles: Sequence[str]  # the names of its roles
    why: str  # the reason for a restart


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `deploy`."""

    records: str
    events: str
    timeouts: str
    workflows: Sequence[DeployedWorkflow]


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `scale`."""

    records: str
    workflow: str
    status: str
    shards: int


class Undeployed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `undeploy`."""

    records: str
    workflow: str


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `down`."""

    records: str
    was_running: bool  # whether anything ran on the records
    ray_stopped: bool  # whether the Ray on this machine was stopped
