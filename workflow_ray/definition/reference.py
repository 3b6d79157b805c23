"""How a definition travels: as "module:attribute" and the folder that the module is found in."""

import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from workflow_ray.definition.workflow import Workflow
from workflow_ray.errors import NotImportable


def reference_of(workflow: Workflow[Any, Any]) -> str:
    """The "module:attribute" by which other processes import the workflow.

    Raises NotImportable: it was made in `__main__`, or its module has no name for it.
    """
    module = _module_of(workflow)
    for name, value in vars(module).items():
        if value is workflow:
            return f"{workflow.module}:{name}"
    why = f"{workflow.name!r} was made here ({workflow.where}), but no name of the module is bound to it; write NAME = Workflow(...) in it"
    raise NotImportable(workflow.module, why)


def python_path_of(workflow: Workflow[Any, Any]) -> tuple[str, ...]:
    """The absolute folder that the workflow's module is importable from; none for a module that is no file.

    Raises NotImportable as `reference_of` does for its module.
    """
    module = _module_of(workflow)
    if module.__file__ is None:
        return ()
    file = Path(module.__file__).absolute()
    depth = workflow.module.count(".") + (file.stem == "__init__")
    return (str(file.parents[depth]),)


def code_of(workflow: Workflow[Any, Any]) -> str:
    """A digest of the source that made the workflow: of its module's file alone, not of what that imports. Empty where it is no file.

    Raises NotImportable as `reference_of` does for its module.
    """
    file = _module_of(workflow).__file__
    return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _module_of(workflow: Workflow[Any, Any]) -> ModuleType:
    if workflow.module == "__main__":
        why = f"{workflow.name!r} was made in the script itself ({workflow.where}), which no other process can import"
        raise NotImportable("__main__", f"{why}; move it to a module of its own, and import it from there")
    if workflow.module not in sys.modules:
        why = f"{workflow.name!r} was made in a module that isn't imported under its name; import it as other processes will"
        raise NotImportable(workflow.module, why)
    return sys.modules[workflow.module]


def load(reference: str, python_path: Sequence[str] = ()) -> Workflow[Any, Any]:
    """Import the workflow that `reference` ("module:attribute") names.

    python_path: folders to look in first; those that sys.path doesn't have yet are put in front of it, for good.
    Raises NotImportable, saying why.
    """
    name, _, attribute = reference.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise NotImportable(reference, 'is no reference; write "module:attribute", as in "shop.orders:orders"')
    _look_in(python_path)
    module = _import(reference, name)
    if not hasattr(module, attribute):
        raise NotImportable(reference, f"module {name} ({module.__file__}) has no {attribute!r}; name the variable that holds the workflow")
    workflow: object = getattr(module, attribute)
    if not _is_workflow(workflow):
        raise NotImportable(reference, f"is a {type(workflow).__name__}, not a Workflow; name the variable that holds the workflow")
    return workflow


def _is_workflow(value: object) -> TypeGuard[Workflow[Any, Any]]:
    return isinstance(value, Workflow)


def _look_in(folders: Sequence[str]) -> None:
    sys.path[:0] = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    importlib.invalidate_caches()  # a folder that was looked in before may hold the module only now


def _import(reference: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a module is code, and may raise whatever code raises
        if isinstance(error, ModuleNotFoundError) and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            why = f"there is no module {error.name!r} on the Python path; start in the folder that holds it, or install it"
        else:
            why = f"importing {name} raised {type(error).__name__}: {error}"
        raise NotImportable(reference, why) from error
