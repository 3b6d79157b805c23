"""Places in the source code of users."""

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


def calling_frame() -> FrameType:
    """The frame that called the caller of this function."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    if frame is None:
        raise RuntimeError("this Python keeps no frames")
    return frame


def place_of(frame: FrameType) -> str:
    """The place as file:line, which editors and terminals can open."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def local_names(frame: FrameType) -> dict[str, object]:
    """A copy of the local names of the frame. Empty for the frame of a module."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def module_path(folder: str, module: str) -> Path:
    """The path of a module that is imported from the folder, without a suffix."""
    return Path(folder, *module.split("."))


def defined_at(reference: str, python_path: Sequence[str]) -> str:
    """Find the place of a definition as file:line, without importing it.

    Args:
        reference: The "module:attribute" of a definition in this program or in another one.
        python_path: The folder that has the module. It may be on another machine.

    Returns:
        file:line; the file alone if the line is not found, the folder if the file is not found, or
        "" without a folder.
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
    """The last line on which the module binds the name."""
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
