"""What a client and its handles share."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.answers import Answers
from workflow_ray.client.attendance import Attendance
from workflow_ray.client.watcher import Watcher
from workflow_ray.client.writer import Writer
from workflow_ray.definition import Status, Workflow
from workflow_ray.ports import Clock, RecordStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@dataclass(frozen=True, slots=True)
class Connection(Generic[D, S]):
    """The store of one workflow's runs, and the waits on it."""

    workflow: Workflow[D, S]
    records: RecordStore
    # the same store, but it gives up soon if the store does not answer; a wait that has timed out
    # asks it
    impatient: RecordStore
    writer: Writer
    clock: Clock  # measures the waits
    watcher: Watcher  # wakes the waits for runs
    answers: Answers  # wakes the waits for messages
    attendance: Attendance  # tells whether a process runs the workflow
