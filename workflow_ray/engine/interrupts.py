"""Errors that do not come from the code in which they are raised."""

import asyncio
import threading


def is_interrupt(error: BaseException) -> bool:
    """Whether the user has asked the process to end (Ctrl-C). Python raises that in the main
    thread, whatever this is doing.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
    )


def is_cancellation(error: BaseException) -> bool:
    """Whether the error ends the current task because others have cancelled it.

    That the task was cancelled is not enough: a task group of the user's code cancels its own task
    when one of its tasks fails, and before Python 3.13 the task counts as cancelled after that.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
