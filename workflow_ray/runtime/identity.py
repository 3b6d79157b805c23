"""Telling whether two definitions of one name are one workflow, and where each of them is."""

from collections.abc import Sequence
from pathlib import Path

from workflow_ray.definition import defined_at, module_path
from workflow_ray.records import DeployedWorkflow


def is_same(deployed: DeployedWorkflow, reference: str, python_path: Sequence[str]) -> bool:
    """Whether a reference names the workflow that is deployed: perhaps changed, or in another
    folder.
    """
    if not deployed.reference or not reference:  # earlier code did not store all of them
        return True
    old_module, _, old_name = deployed.reference.partition(":")
    module, _, name = reference.partition(":")
    if old_name and name and old_name != name:
        return False
    old_files = _files(deployed.python_path, old_module)
    return old_module == module or bool(old_files & _files(python_path, module))


def place_of(workflow: DeployedWorkflow) -> str:
    """Return "module:attribute (file:line)", as far as it is known here."""
    where = defined_at(workflow.reference, workflow.python_path)
    name = workflow.reference.removesuffix(":")
    return f"{name} ({where})" if where else name


def _files(python_path: Sequence[str], module: str) -> set[Path]:
    return {module_path(folder, module) for folder in python_path}
