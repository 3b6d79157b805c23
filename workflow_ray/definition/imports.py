"""The imports of a module, read from its code without running it."""

import ast
import dis
import warnings
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

KEPT = 1000
"""The number of files whose imports are cached."""
TYPE_CHECKING = "TYPE_CHECKING"
BY_NAME = "import_module"


class Import(NamedTuple):
    """One import."""

    module: str  # a relative import has one leading dot for each level
    names: tuple[str, ...] = ()  # of attributes or submodules; "*" for all


@lru_cache(maxsize=KEPT)  # a project's workflows import the same modules
def in_source(source: bytes) -> tuple[Import, ...]:
    """Find the imports of a source file, also those inside of functions.

    Imports for type checkers (`if TYPE_CHECKING:`) are left out. A call of `import_module` counts
    if its argument is a literal. A file that isn't Python has no imports.
    """
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # Python shows them when the file is imported
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(_in_tree(tree))


def _in_tree(tree: ast.AST) -> Iterator[Import]:
    for node in _executed(tree):
        match node:
            case ast.Import():
                yield from (Import(alias.name) for alias in node.names)
            case ast.ImportFrom():
                yield Import(
                    "." * node.level + (node.module or ""),
                    tuple(alias.name for alias in node.names),
                )
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ):
                if called == BY_NAME:
                    yield Import(name)
            case _:
                pass


def in_bytecode(code: CodeType) -> Iterator[Import]:
    """Find the imports of compiled code, also those for type checkers, but not `import_module`."""
    before: deque[object] = deque(maxlen=2)
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            level, names = before
            yield Import(
                "." * _number(level) + instruction.argval, names if isinstance(names, tuple) else ()
            )
        before.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from in_bytecode(constant)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside of `if TYPE_CHECKING:`."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        match node:
            case ast.If(test=ast.Name(id=name) | ast.Attribute(attr=name)) if name == TYPE_CHECKING:
                pending += node.orelse
            case _:
                pending += ast.iter_child_nodes(node)


def _number(level: object) -> int:
    return level if isinstance(level, int) else 0
