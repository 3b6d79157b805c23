"""How a definition travels to other processes."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from workflow_ray.definition import load, python_path_of, reference_of
from workflow_ray.errors import NotImportable

SOURCE = """
from pydantic import BaseModel
from workflow_ray import Status, Workflow

class At(Status):
    START = 1

class Data(BaseModel):
    pass

orders = Workflow("orders", Data, At)
other = 3

def made_inside():
    return Workflow("inside", Data, At)
"""


@pytest.fixture
def name() -> str:
    """A module name that nothing else has."""
    return f"shop_{uuid4().hex}"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the Python path back after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_workflow_comes_back_by_its_reference(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    workflow = load(f"{name}:orders", [str(tmp_path)])
    assert reference_of(workflow) == f"{name}:orders"
    assert python_path_of(workflow) == (str(tmp_path),)
    assert load(f"{name}:orders", [str(tmp_path)]) is workflow
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(("file", "module"), [("flows.py", "flows"), ("flows/__init__.py", "flows"), ("flows/deep.py", "flows.deep")])
def test_the_folder_is_where_the_outermost_package_lies(tmp_path: Path, name: str, file: str, module: str) -> None:
    target = tmp_path / name / file
    target.parent.mkdir(parents=True)
    target.write_text(SOURCE)
    assert python_path_of(load(f"{name}.{module}:orders", [str(tmp_path)])) == (str(tmp_path),)


def test_a_workflow_without_a_name_in_its_module_cant_travel(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    load(f"{name}:orders", [str(tmp_path)])
    with pytest.raises(NotImportable, match="no name of the module is bound to it; write NAME = Workflow"):
        reference_of(sys.modules[name].made_inside())


def test_a_workflow_of_a_script_cant_travel(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"{SOURCE}\nfrom workflow_ray.definition import reference_of\nreference_of(orders)")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "NotImportable: __main__: 'orders' was made in the script itself" in ended.stderr
    assert "move it to a module of its own" in ended.stderr


@pytest.mark.parametrize("reference", ["", "shop", "shop:", ":orders", "a b:c", "a..b:c", "shop:a.b", "shop:a:b"])
def test_a_reference_is_a_module_and_an_attribute(reference: str) -> None:
    with pytest.raises(NotImportable, match="is no reference; write"):
        load(reference)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "has no 'orders'"),
        ("orders = 3", "is a int, not a Workflow"),
        ("import nothing_of_this_name", "raised ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("def (", "raised SyntaxError"),
    ],
)
def test_what_keeps_a_workflow_from_loading_is_told(tmp_path: Path, name: str, source: str, says: str) -> None:
    (tmp_path / f"{name}.py").write_text(source)
    with pytest.raises(NotImportable, match=f"^{name}:orders: ") as raised:
        load(f"{name}:orders", [str(tmp_path)])
    assert says in str(raised.value)


def test_a_module_that_isnt_there_is_told_by_name(name: str) -> None:
    with pytest.raises(NotImportable, match=f"there is no module '{name}'"):
        load(f"{name}.deep:orders")
