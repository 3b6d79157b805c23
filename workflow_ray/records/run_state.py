"""How far a run is, whatever its status."""

from enum import IntEnum


class RunState(IntEnum):
    """The numbers are stored: never change one."""

    INITIATED = 1
    RUNNING = 2
    PAUSED = 3
    CANCELLED = 4
    COMPLETED = 5
    REQUESTED_DATA_DELETED = 6
    DATA_DELETED = 7

    @property
    def at_rest(self) -> bool:
        """True where the run takes no further step by itself."""
        return self >= RunState.PAUSED

    @property
    def finished(self) -> bool:
        """True where the run takes no further step, so that its foreign id is free again."""
        return self >= RunState.CANCELLED


class Cause(IntEnum):
    """What a version was written for. The numbers are stored: never change one."""

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
    """A process died while this run was tried: the next attempt is counted before it is made."""
    FAILED = 9
    """A step failed for good: the run is paused with the error, or went to the step's `on_failure`
    status.
    """
    GIVEN_BACK = 10
    """The role stopped before an attempt ended that it had counted; the attempt doesn't count."""
    RESUMED = 11
    """An operator let a paused run go on."""
    RETRIED = 12
    """An operator had the step of a failed run tried again, at once and with all its attempts."""


class Awaits(IntEnum):
    """What a run waits for. The numbers are stored: never change one."""

    EVENT = 1
    """It will be worked on: an event for it is in the outbox or in the stream."""
    MESSAGE = 2
    """A callback, a child, a timeout or an operator moves it."""
    PARKED = 3
    """Flow control holds it back."""
    NOBODY = 4
    """It is paused or finished."""
