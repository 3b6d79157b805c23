"""Run states, and the causes of a version."""

from enum import IntEnum


class RunState(IntEnum):
    """Whether a run proceeds, is paused or has ended. The numbers are stored: never change one."""

    INITIATED = 1
    RUNNING = 2
    PAUSED = 3
    CANCELLED = 4
    COMPLETED = 5
    REQUESTED_DATA_DELETED = 6
    DATA_DELETED = 7

    @property
    def at_rest(self) -> bool:
        """Whether the run takes no further step by itself."""
        return self >= RunState.PAUSED

    @property
    def finished(self) -> bool:
        """Whether the run takes no further step at all, so that its foreign id is free again."""
        return self >= RunState.CANCELLED


class Cause(IntEnum):
    """Why a version was written. The numbers are stored: never change one."""

    TRIGGER = 1
    STEP = 2
    """A step returned a status."""
    REPEAT = 3
    STAY = 4
    PAUSE = 5
    CANCEL = 6
    RETRY = 7
    """A step failed and has attempts left."""
    DOUBT = 8
    """A process died while it tried this run. The next attempt is counted before it is made."""
    FAILED = 9
    """A step failed for good. The run is paused with the error, or entered the step's `on_failure`
    status.
    """
    GIVEN_BACK = 10
    """The role stopped before an attempt ended. The attempt was counted, and no longer counts."""
    RESUMED = 11
    """An operator resumed a paused run."""
    RETRIED = 12
    """An operator, or the workflow's `retry_paused`, retried the step of a failed run, at once and
    with all its attempts.
    """
    CALLBACK = 13
    """A callback returned a status, or Stay."""
    TIMEOUT = 14
    """A timeout's function returned a status, or Stay."""
    CHILD = 15
    """The function for a child that has ended returned a status, or Stay."""
    CHILDREN = 16
    """The function for the last child that has ended returned a status, or Stay."""
    MOVED = 17
    """An operator moved the run to a status."""
    FORKED = 18
    """A new run was made from a version of another one, which the reason names."""
    PARKED = 19
    """The step can't run now, and is held back; the reason says why. No attempt was counted."""
    ADMITTED = 20
    """Flow control lets the run go on to its step."""
    DELETION_REQUESTED = 21
    """A client asked for the deletion of the run's data."""
    DATA_DELETED = 22
    """The run's data was deleted from everything that is kept of it."""


class Awaits(IntEnum):
    """What a run waits for. The numbers are stored: never change one."""

    EVENT = 1
    """The run will be worked on: the outbox or the stream has an event for it."""
    MESSAGE = 2
    """A callback, a child, a timeout or an operator moves the run."""
    PARKED = 3
    """Flow control holds the run back."""
    NOBODY = 4
    """The run is paused or finished."""
