"""Places in the user's source."""

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
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


def module_path(folder: str, module: str) -> Path:
    """The path of a module that is imported from that folder, without a suffix."""
    return Path(folder, *module.split("."))


def defined_at(reference: str, python_path: Sequence[str]) -> str:
    """file:line of what a reference ("module:attribute") names. Imports nothing.

    Args:
        reference: Of this program or of another one.
        python_path: The folder that its module is in; it may be another machine's.

    Returns:
        The file without a line, the folder alone, or "", as far as it is known on this machine.
    """
    module, _, attribute = reference.partition(":")
    for folder in python_path:
        path = module_path(folder, module)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                line = _line(file, attribute)
                return str(file) if line is None else f"{file}:{line}"
    return next(iter(python_path), "")


def _line(file: Path, attribute: str) -> int | None:
    """The line on which the module binds the name."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    for statement in reversed(body):
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))
            ) if name == attribute:
                return statement.lineno
            case _:
                pass
    return None
