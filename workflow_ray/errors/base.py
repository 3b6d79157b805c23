"""The root of the errors."""

from typing import ClassVar


class WorkflowError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1  # of the command line
    transient: ClassVar[bool] = False
    """Whether it may pass by itself: whoever may repeat the call, with the same ids, does so.

    See `ports.persist`.
    """
