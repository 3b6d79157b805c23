"""References to definitions: "module:attribute", and the folder that has the module."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from workflow_ray.definition.own_modules import own_files, own_modules
from workflow_ray.definition.workflow import Workflow
from workflow_ray.errors import DuplicateWorkflow, InvalidInput, NotImportable

MAIN = ("__main__", "__mp_main__")
"""The module names of a script; the second in processes that `multiprocessing` starts."""


def reference_of(workflow: Workflow[Any, Any]) -> str:
    """The "module:attribute" by which other processes import the workflow.

    Raises:
        NotImportable: It was made in `__main__`, or no name of its module is bound to it.
    """
    if workflow.module in MAIN:
        why = (
            f"{workflow.name!r} was made in the script itself ({workflow.where}), which no other"
            " process can import"
        )
        raise NotImportable(
            "__main__", f"{why}; move it to a module of its own, and import it from there"
        )
    if workflow.module not in sys.modules:
        why = (
            f"{workflow.name!r} was made in a module that isn't imported under its name; import it"
            " as other processes will"
        )
        raise NotImportable(workflow.module, why)
    reference = known_as(workflow)
    if reference.endswith(":"):
        why = (
            f"{workflow.name!r} was made here ({workflow.where}), but no name of the module is"
            " bound to it"
        )
        raise NotImportable(workflow.module, f"{why}; write NAME = Workflow(...) in it")
    return reference


def known_as(workflow: Workflow[Any, Any]) -> str:
    """The "module:attribute" by which a deployment knows the workflow, importable or not.

    A script has the name by which it would be imported. The attribute is empty if no name of the
    module is bound to the workflow.
    """
    names = vars(sys.modules[workflow.module]).items() if workflow.module in sys.modules else ()
    attribute = next((name for name, value in names if value is workflow), "")
    return f"{_name_of(workflow)}:{attribute}"


def by_name(workflows: Iterable[Workflow[Any, Any]]) -> dict[str, Workflow[Any, Any]]:
    """The workflows of a program, by name.

    Raises:
        InvalidInput: One of them is not a workflow.
        DuplicateWorkflow: Two of them have the same name.
    """
    named: dict[str, Workflow[Any, Any]] = {}
    for workflow in workflows:
        if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
            raise InvalidInput(
                "workflows",
                "hand in one after the other, as in Runtime.local(orders, invoices), not a"
                f" {type(workflow).__name__}",
            )
        first = named.setdefault(workflow.name, workflow)
        if first is not workflow:
            raise DuplicateWorkflow(
                workflow.name,
                *(
                    f"{known_as(each).removesuffix(':')} ({each.where})"
                    for each in (first, workflow)
                ),
            )
    return named


def python_path_of(workflow: Workflow[Any, Any]) -> tuple[str, ...]:
    """The absolute folder from which the workflow's module is imported. Empty if it has no file."""
    file = _file_of(workflow)
    return () if file is None else (str(_folder(_name_of(workflow), file)),)


def code_of(workflow: Workflow[Any, Any]) -> str:
    """Compute a digest of the workflow's module and of the modules that it imports from its folder.

    See `own_modules`. The same files have the same digest in every process and every folder,
    whether they are imported or run as a script. Empty if the module has no file.
    """
    file, name = _file_of(workflow), _name_of(workflow)
    modules = {} if file is None else own_modules(name, file, _folder(name, file))
    if name not in modules:
        return ""
    return sha256(
        "\n".join(f"{module} {digest}" for module, digest in sorted(modules.items())).encode()
    ).hexdigest()


def _name_of(workflow: Workflow[Any, Any]) -> str:
    """The name by which other processes would import the module."""
    if workflow.module not in MAIN:
        return workflow.module
    spec = getattr(sys.modules.get(workflow.module), "__spec__", None)
    if spec is not None:  # `python -m` sets it
        return str(spec.name)
    file = _file_of(workflow)
    return workflow.module if file is None else file.stem.replace(".", "_")


def _file_of(workflow: Workflow[Any, Any]) -> Path | None:
    file = getattr(sys.modules.get(workflow.module), "__file__", None)
    return None if file is None else Path(file).absolute()


def _folder(name: str, file: Path) -> Path:
    """The folder from which the outermost package, or the module itself, is imported."""
    above = name.count(".") + (file.stem == "__init__")
    return file.parents[min(above, len(file.parents) - 1)]


def load(reference: str, python_path: Sequence[str] = ()) -> Workflow[Any, Any]:
    """Import a workflow.

    Args:
        reference: Its "module:attribute".
        python_path: The folders to search first. Those that sys.path doesn't have are put in front
            of it, for good.

    Raises:
        NotImportable: The error says why.
    """
    name, attribute = _parts(reference)
    _look_in(python_path)
    module = _import(reference, name)
    if not hasattr(module, attribute):
        raise NotImportable(
            reference,
            f"module {name} ({module.__file__}) has no {attribute!r}; name the variable that holds"
            " the workflow",
        )
    workflow: object = getattr(module, attribute)
    if not is_workflow(workflow):
        raise NotImportable(
            reference,
            f"is a {type(workflow).__name__}, not a Workflow; name the variable that holds the"
            " workflow",
        )
    return workflow


def code_at(reference: str, python_path: Sequence[str]) -> tuple[dict[str, str], set[Path]]:
    """Find the code of a workflow without importing it, so that it may have mistakes.

    Args:
        reference: Its "module:attribute".
        python_path: The folders to search before those of sys.path.

    Returns:
        A digest of each of its modules, by name, and the folders that their files are in. None at
        all if no module has the name.

    Raises:
        NotImportable: It is not a reference.
    """
    name, _ = _parts(reference)
    return own_files(name, [*python_path, *filter(None, sys.path)])


def _parts(reference: str) -> tuple[str, str]:
    name, _, attribute = reference.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise NotImportable(
            reference, 'is not a reference; write "module:attribute", as in "shop.orders:orders"'
        )
    return name, attribute


def is_workflow(value: object) -> TypeGuard[Workflow[Any, Any]]:
    """Whether this is a workflow. Type checkers then know it as one."""
    return isinstance(value, Workflow)


def _look_in(folders: Sequence[str]) -> None:
    sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    importlib.invalidate_caches()  # importlib caches what a folder held before


def _import(reference: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module may raise anything when it is imported
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            why = (
                f"found no module {error.name!r} on the Python path; start in the folder that"
                " holds it, or install it"
            )
        else:
            why = f"importing {name} raised {type(error).__name__}: {error}"
        raise NotImportable(reference, why) from error
