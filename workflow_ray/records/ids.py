"""The identifiers that travel.

All are text, so that they read the same in code, SQL, logs and on the command line.
"""

import zlib
from typing import NewType

import uuid_utils

RunId = NewType("RunId", str)
"""A UUIDv7 in its canonical 36 characters; sorts by time of creation."""
WriteId = NewType("WriteId", str)
"""Chosen by the caller before it sends; with the run's id it names one write for good."""
Topic = NewType("Topic", str)
RoleName = NewType("RoleName", str)
Version = NewType("Version", int)
"""Goes up by one with every write of a record; the first is 1."""

NO_VERSION = Version(0)
"""The version expected of a run that doesn't exist yet."""


def new_run_id() -> RunId:
    return RunId(str(uuid_utils.uuid7()))


def new_write_id() -> WriteId:
    return WriteId(str(uuid_utils.uuid7()))


def partition_of(run_id: RunId, partitions: int) -> int:
    """The run's partition, from 0. The same on every machine and in every version of Python."""
    return zlib.crc32(run_id.encode()) % partitions


def status_topic(workflow: str, status: int) -> Topic:
    """The topic whose events say that a run of `workflow` is at `status`."""
    return Topic(f"{workflow}-{status}")
