"""Errors that are not of the code that they are raised in."""

import threading


def is_interrupt(error: BaseException) -> bool:
    """Whether the user asks the process to end (Ctrl-C), which is raised in whatever its main
    thread is doing.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
    )
