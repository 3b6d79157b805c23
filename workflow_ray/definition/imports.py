"""What a module imports, read from its code without running it."""

import ast
import dis
import warnings
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

KEPT = 1000
"""Files whose imports are remembered."""
TYPE_CHECKING = "TYPE_CHECKING"
BY_NAME = "import_module"


class Import(NamedTuple):
    """One import."""

    module: str  # with a leading dot for each level, where it is relative
    names: tuple[str, ...] = ()  # of things in the module, which may be modules or not; "*": all


@lru_cache(maxsize=KEPT)  # a project's workflows import the same modules
def in_source(source: bytes) -> tuple[Import, ...]:
    """The imports of a source file, those inside of functions included.

    Those for type checkers only (`if TYPE_CHECKING:`) are left out. `import_module` counts where
    the name is written out. A file that isn't Python has none.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # whoever imports the file is shown them
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
    """The imports of compiled code. Those for type checkers count; `import_module` does not."""
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
    """All nodes but those for type checkers only."""
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
