"""Places in the user's source."""

import inspect
from types import FrameType


def calling_frame() -> FrameType:
    """The frame that called the function that asks."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    if frame is None:
        raise RuntimeError("this Python keeps no frames")
    return frame


def where(frame: FrameType) -> str:
    """file:line, as editors and terminals open it."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def local_names(frame: FrameType) -> dict[str, object]:
    """A copy of the names that only the frame knows; none for a module's."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
