"""The synchronous client, from the asynchronous one: `make sync` writes workflow_ray/sync.

Each public method of an asynchronous class has a twin with the same parameters, defaults and
docstring, which blocks until the original has ended. The result is source code, so that type
checkers, editors and readers see what there is.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TypeAlias

ROOT = Path(__file__).parents[1]
ORIGINALS = ROOT / "workflow_ray" / "client"
FOLDER = ROOT / "workflow_ray" / "sync"
WIDTH = 93
"""Columns of a class's docstring, without its indent and quotes."""
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Twin:
    """A class to write.

    Args:
        module: The name of its module, in both packages.
        name: The name of the class, in both packages.
        docstring: Of the class.
        root: The base that the class gets if none of the original's bases has a twin.
    """

    module: str
    name: str
    docstring: str
    root: str = "Blocking"


TWINS = (
    Twin("run_reader", "RunReader", "Reads one run."),
    Twin("run_controls", "RunControls", "Reads and controls one run."),
    Twin(
        "handle",
        "Handle",
        "Reads, waits for, calls back and controls one run. As `workflow_ray.Handle`, but each call"
        " blocks. Threads may share it.",
    ),
    Twin(
        "dead_letters",
        "DeadLetters",
        "The dead letters of one workflow, or of one of its connectors.\n\n`for letter in letters`"
        " lists them, page by page.",
    ),
    Twin(
        "bulk",
        "BulkJob",
        "A bulk job: read how far it is, wait for its end, control it. Threads may share it.",
    ),
    Twin("run_list", "RunList", "Reads, lists and counts the runs of one workflow.", "Closing"),
    Twin(
        "bulk_controls",
        "BulkControls",
        "Reads the runs of one workflow, and controls all that pass filters.",
    ),
    Twin("schedules", "ScheduleControls", "Shows and controls the schedules of one workflow."),
    Twin(
        "flow_controls",
        "FlowControls",
        "Shows and sets the limits of flow control of one workflow.",
    ),
    Twin(
        "client",
        "Client",
        "Triggers, calls back, reads and finds the runs of one workflow. As `workflow_ray.Client`,"
        " but each call blocks.\n\nThreads may share a client. KeyboardInterrupt ends a call or a"
        " wait; it is not known then whether the call took effect. A call is repeated, with the"
        " same ids, while the store does not answer. After `patience` seconds it raises"
        " StoreUnavailable.",
    ),
)
BY_NAME = {twin.name: twin for twin in TWINS}
RENAMED = {"AsyncIterator": "Iterator"}
KEPT = ("__aiter__", "__repr__")
"""Methods that begin with an underscore and have twins."""


def modules() -> dict[Path, str]:
    """Make the text of each module from the current asynchronous client."""
    return {FOLDER / f"{twin.module}.py": _module(twin) for twin in TWINS}


def _module(twin: Twin) -> str:
    tree = ast.parse((ORIGINALS / f"{twin.module}.py").read_text())
    (found,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == twin.name
    ]
    body = _class(twin, found)
    used = _names(ast.parse(body))
    variables = [
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in used
    ]
    body = "\n".join([*variables, body])
    source = f"client/{twin.module}.py"
    head = f'"""`{twin.name}`, whose calls block. `make sync` writes this from {source}."""'
    imports = _imports(twin, tree, _names(ast.parse(body)))
    return _formatted("\n".join([head, *imports, body]), FOLDER / f"{twin.module}.py")


def _imports(twin: Twin, tree: ast.Module, used: set[str]) -> Iterator[str]:
    needed = sorted(used & {"Blocking", "BlockingCalls", "Closing"})
    yield f"from workflow_ray.client import {twin.module} as asynchronous"
    yield f"from workflow_ray.sync.blocking_calls import {', '.join(needed)}"
    yield from ["from typing import Any"] if "Any" in used else []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for name in (RENAMED.get(each.name, each.name) for each in node.names):
                other = BY_NAME.get(name)
                module = node.module if other is None else f"workflow_ray.sync.{other.module}"
                if name in used:
                    yield f"from {module} import {name}"
        elif (own := _own(node)) in used and own not in BY_NAME:
            yield f"from workflow_ray.client.{twin.module} import {own}"


def _own(node: ast.stmt) -> str:
    """Return the name of a class or a type that the module of the original defines."""
    match node:
        case ast.ClassDef(name):
            return name
        case ast.AnnAssign(ast.Name(name)):
            return name
        case _:
            return ""


def _class(twin: Twin, found: ast.ClassDef) -> str:
    others = {_base(base) for base in found.bases} - BY_NAME.keys() - {"ABC", "Generic"}
    assert not others, f"{twin.name}: add {others} to TWINS"
    bases = [
        ast.unparse(base)
        for base in found.bases
        if _base(base) in BY_NAME or _base(base) == "Generic"
    ]
    parameters = next((_arguments(base) for base in found.bases if _base(base) == "Generic"), "")
    if not any(_base(base) in BY_NAME for base in found.bases):
        bases.insert(0, twin.root)
    attribute = f"self._{_snake(twin.name)}"
    lines = [
        f"class {twin.name}({', '.join(bases)}):",
        *_indented([_docstring(_filled(twin.docstring)), *_constructor(twin, found, parameters)]),
    ]
    for node in found.body:
        if isinstance(node, Function) and (node.name in KEPT or not node.name.startswith("_")):
            is_overloaded = any(
                isinstance(other, Function) and other.name == node.name and other is not node
                for other in found.body
            )
            lines += _indented(_method(node, attribute, is_overloaded=is_overloaded))
    return "\n".join(lines)


def _constructor(twin: Twin, found: ast.ClassDef, parameters: str) -> list[str]:
    """Write the constructor. It copies the public attributes of the original."""
    lines = [
        f"def __init__(self, calls: BlockingCalls, original: asynchronous.{twin.name}{parameters})"
        " -> None:",
        "    super().__init__(calls, original)",
        f"    self._{_snake(twin.name)} = original",
    ]
    original = next(
        (node for node in found.body if isinstance(node, Function) and node.name == "__init__"),
        None,
    )
    statements = [] if original is None else original.body
    for place, node in enumerate(statements):
        target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if re.fullmatch(r"self\.[a-z]\w*", target):
            lines.append(f"    {target} = original.{target.removeprefix('self.')}")
            text = _string(statements[place + 1]) if place + 1 < len(statements) else None
            lines += [] if text is None else _indented([_docstring(text)])
    return lines


def _method(node: Function, attribute: str, *, is_overloaded: bool) -> list[str]:
    """Write the twin of a method."""
    decorators = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    assert set(decorators) <= {"@overload"}, f"{node.name}: write a rule for {decorators}"
    arguments = deepcopy(node.args)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg) and argument.annotation is not None:
            argument.annotation = _renamed(argument.annotation)
    assert node.returns is not None
    name = "__iter__" if node.name == "__aiter__" else node.name
    returns = _renamed(node.returns)
    head = f"def {name}({ast.unparse(arguments)}) -> {ast.unparse(returns)}:"
    if decorators:
        return [*decorators, f"{head} ..."]
    text = ast.get_docstring(node)
    documented = [] if text is None else [_docstring(text)]
    return [head, *_indented([*documented, *_body(node, attribute, is_overloaded=is_overloaded)])]


def _body(node: Function, attribute: str, *, is_overloaded: bool) -> list[str]:
    if node.name == "__repr__":
        return [f"return repr({attribute})"]
    assert node.returns is not None
    kind = _parsed(node.returns)
    original, lines = f"{attribute}.{node.name}", list[str]()
    if is_overloaded:
        lines = [f"original: Any = {original}  # its overloads are those above"]
        original = "original"
    call = f"{original}({', '.join(_passed(node))})"
    if isinstance(node, ast.AsyncFunctionDef) and _base(kind) not in RENAMED:
        call = f"self._calls.result({call})"
    if is_overloaded and _names(kind) & BY_NAME.keys():
        lines.append(f"answer: Any = {call}")
        call = "answer"
    value = _wrapped(kind, call)
    return [*lines, value if ast.unparse(kind) == "None" else f"return {value}"]


def _passed(node: Function) -> Iterator[str]:
    """Pass each parameter on to the original."""
    for argument in node.args.args[1:]:
        yield _argument(argument)
    if node.args.vararg is not None:
        yield f"*{node.args.vararg.arg}"
    for argument in node.args.kwonlyargs:
        yield f"{argument.arg}={_argument(argument)}"


def _argument(argument: ast.arg) -> str:
    assert argument.annotation is not None
    names = _names(_parsed(argument.annotation))
    if names & BY_NAME.keys():
        return f"self._original_of({argument.arg})"
    return f"self._session_of({argument.arg})" if "Within" in names else argument.arg


def _wrapped(kind: ast.expr, value: str) -> str:
    """Turn what the original returns into what its twin returns."""
    match kind:
        case ast.Name() | ast.Subscript() if _base(kind) in RENAMED:
            return f"self._calls.iterate({value})"
        case _ if not _names(kind) & BY_NAME.keys():
            return value
        case ast.Name() | ast.Subscript() if _base(kind) in BY_NAME:
            return f"{_base(kind)}(self._calls, {value})"
        case ast.BinOp(left, ast.BitOr(), ast.Constant(None)):
            return f"None if (found := {value}) is None else {_wrapped(left, 'found')}"
        case ast.BinOp(left, ast.BitOr(), ast.Name() as other):
            assert value.isidentifier(), f"overload what returns {ast.unparse(kind)}"
            return f"{value} if isinstance({value}, {other.id}) else {_wrapped(left, value)}"
        case ast.Subscript(ast.Name("list"), ast.Tuple() | ast.Subscript() | ast.Name() as item):
            return f"[{_wrapped(item, 'each')} for each in {value}]"
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(parts)):
            return f"({', '.join(_wrapped(part, f'{value}[{n}]') for n, part in enumerate(parts))})"
        case _:
            raise NotImplementedError(f"write a rule that wraps {ast.unparse(kind)}")


# --- annotations --------------------------------------------------------------------------------


def _parsed(annotation: ast.expr) -> ast.expr:
    text = _string(annotation)
    return annotation if text is None else ast.parse(text, mode="eval").body


def _renamed(annotation: ast.expr) -> ast.expr:
    """Name what a thread iterates over. Text stays text."""
    if (text := _string(annotation)) is not None:
        return ast.Constant(ast.unparse(_renamed(ast.parse(text, mode="eval").body)))
    annotation = deepcopy(annotation)
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            node.id = RENAMED.get(node.id, node.id)
    return annotation


def _base(kind: ast.expr) -> str:
    """Return the name of a class, without its parameters."""
    return ast.unparse(kind.value if isinstance(kind, ast.Subscript) else kind)


def _arguments(kind: ast.expr) -> str:
    return ast.unparse(kind).removeprefix(_base(kind))


def _names(tree: ast.AST) -> set[str]:
    """The names that code uses, also in annotations that are text."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.expr) and _string(part) is not None:
                found |= _names(_parsed(part))
    return found


# --- text ---------------------------------------------------------------------------------------


def _string(node: ast.AST) -> str | None:
    """Return the text of a node that is text."""
    value = node.value if isinstance(node, ast.Expr) else node
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _docstring(text: str) -> str:
    """Write a docstring, as it reads where nothing is awaited."""
    text = re.sub(r"\b(?:async (?=for\b|with\b)|await )", "", text)
    end = "\n" if "\n" in text else ""
    return f'"""{text}{end}"""'


def _filled(text: str) -> str:
    """Break the lines of a class's docstring."""
    return "\n\n".join(fill(part, WIDTH) for part in text.split("\n\n"))


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for part in lines for line in part.split("\n")]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _formatted(text: str, path: Path) -> str:
    for arguments in (["check", "--select", "I", "--fix-only"], ["format"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--quiet"]
        command += ["--stdin-filename", str(path), "-"]
        text = subprocess.run(
            command, input=text, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    return text


if __name__ == "__main__":
    for path, written in modules().items():
        path.write_text(written)
