"""Errors that do not come from the code in which they are raised."""

import threading


def is_interrupt(error: BaseException) -> bool:
    """Whether the user has asked the process to end (Ctrl-C). Python raises that in the main
    thread, whatever this is doing.
    """
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
    )
