"""Identifiers. They are text or numbers, the same in code, SQL, logs and on the command line."""

import zlib
from datetime import datetime
from typing import NewType
from uuid import UUID

import uuid_utils

RunId = NewType("RunId", str)
"""A UUIDv7 in its canonical 36 characters. Run ids sort by time of creation."""
WriteId = NewType("WriteId", str)
"""The caller chooses it before it sends. Together with the run's id it names one write for good."""
Topic = NewType("Topic", str)
RoleName = NewType("RoleName", str)
Version = NewType("Version", int)
"""The version of a run. It goes up by one with every write of the record, from 1."""

NO_VERSION = Version(0)
"""The version that a write expects of a run that does not exist yet."""


def new_run_id() -> RunId:
    return RunId(str(uuid_utils.uuid7()))


def run_id_at(time: datetime) -> RunId:
    """Return the lowest id that a run could have that was created at that time."""
    milliseconds = int(time.timestamp() * 1000)
    return RunId(str(UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)))


def new_write_id() -> WriteId:
    return WriteId(str(uuid_utils.uuid7()))


def partition_of(run_id: RunId, partitions: int) -> int:
    """Return the run's partition, from 0: the same on every machine and in every Python."""
    return zlib.crc32(run_id.encode()) % partitions


def status_topic(workflow: str, status: int) -> Topic:
    """Return the topic of the events that say that a run of `workflow` is at `status`."""
    return Topic(f"{workflow}-{status}")


def run_state_topic(workflow: str) -> Topic:
    """Return the topic of the events that say that a run of `workflow` has another run state.

    Their `status` is the number of the status at which the run stands, and their `version` the one
    that made the change. They are sent only for what a hook or a cascade asks for.
    """
    return Topic(f"{workflow}-run-states")
