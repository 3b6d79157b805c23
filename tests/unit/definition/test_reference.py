"""References to definitions, by which other processes import them."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from workflow_ray.definition import (
    by_name,
    code_of,
    defined_at,
    known_as,
    load,
    python_path_of,
    reference_of,
)
from workflow_ray.errors import DuplicateWorkflow, NotImportable

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
    """A unique module name."""
    return f"shop_{uuid4().hex}"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the Python path after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_workflow_comes_back_by_its_reference(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    workflow = load(f"{name}:orders", [str(tmp_path)])
    assert reference_of(workflow) == f"{name}:orders"
    assert python_path_of(workflow) == (str(tmp_path),)
    assert load(f"{name}:orders", [str(tmp_path)]) is workflow
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "module"),
    [("flows.py", "flows"), ("flows/__init__.py", "flows"), ("flows/deep.py", "flows.deep")],
)
def test_the_folder_has_the_outermost_package(
    tmp_path: Path, name: str, file: str, module: str
) -> None:
    target = tmp_path / name / file
    target.parent.mkdir(parents=True)
    target.write_text(SOURCE)
    assert python_path_of(load(f"{name}.{module}:orders", [str(tmp_path)])) == (str(tmp_path),)


def test_a_workflow_without_a_name_in_its_module_is_not_importable(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    load(f"{name}:orders", [str(tmp_path)])
    with pytest.raises(
        NotImportable, match="no name of the module is bound to it; write NAME = Workflow"
    ):
        reference_of(sys.modules[name].made_inside())


def test_a_workflow_of_a_script_is_not_importable(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{SOURCE}\nfrom workflow_ray.definition import reference_of\nreference_of(orders)"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "NotImportable: __main__: 'orders' was made in the script itself" in ended.stderr
    assert "move it to a module of its own" in ended.stderr


@pytest.mark.parametrize(
    "reference", ["", "shop", "shop:", ":orders", "a b:c", "a..b:c", "shop:a.b", "shop:a:b"]
)
def test_a_reference_is_a_module_and_an_attribute(reference: str) -> None:
    with pytest.raises(NotImportable, match="is not a reference; write"):
        load(reference)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "has no 'orders'"),
        ("orders = 3", "is a int, not a Workflow"),
        (
            "import nothing_of_this_name",
            "raised ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("def (", "raised SyntaxError"),
    ],
)
def test_the_error_says_why_a_workflow_can_not_be_loaded(
    tmp_path: Path, name: str, source: str, says: str
) -> None:
    (tmp_path / f"{name}.py").write_text(source)
    with pytest.raises(NotImportable, match=f"^{name}:orders: ") as raised:
        load(f"{name}:orders", [str(tmp_path)])
    assert says in str(raised.value)


def test_the_error_names_a_missing_module(name: str) -> None:
    with pytest.raises(NotImportable, match=f"found no module '{name}'"):
        load(f"{name}.deep:orders")


# --- names of definitions that can't be imported ------------------------------------------------

SCRIPT = f"""
{SOURCE}
if __name__ in ("__main__", "__mp_main__"):
    import multiprocessing
    from workflow_ray.definition import code_of, known_as, python_path_of

    def show():
        print(known_as(orders), *python_path_of(orders), code_of(orders), flush=True)

    if __name__ == "__main__":
        show()
        process = multiprocessing.get_context("spawn").Process(target=show)
        process.start()
        process.join()
"""


def test_a_script_is_known_by_its_import_name_also_in_child_processes(
    tmp_path: Path, name: str
) -> None:
    script = tmp_path / f"{name}.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    (printed,) = set(done.stdout.splitlines())
    assert printed.split() == [
        f"{name}:orders",
        str(tmp_path),
        code_of(load(f"{name}:orders", [str(tmp_path)])),
    ]
    assert len(done.stdout.splitlines()) == 2


def test_a_workflow_without_a_name_is_known_by_its_module(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    load(f"{name}:orders", [str(tmp_path)])
    assert known_as(sys.modules[name].made_inside()) == f"{name}:"


def test_two_workflows_of_one_name_are_refused_with_both_places(tmp_path: Path, name: str) -> None:
    for module in (name, f"{name}_too"):
        (tmp_path / f"{module}.py").write_text(SOURCE)
    one, other = (load(f"{module}:orders", [str(tmp_path)]) for module in (name, f"{name}_too"))
    assert by_name([one, one]) == {"orders": one}
    with pytest.raises(DuplicateWorkflow) as raised:
        by_name([one, other])
    places = [f"{module}:orders ({tmp_path}/{module}.py:11)" for module in (name, f"{name}_too")]
    assert (
        str(raised.value)
        == f"two workflows have the name 'orders': {' and '.join(places)}. Give one of them another"
        " name."
    )


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("shop:orders", "shop.py:2"),
        ("shop:typed", "shop.py:3"),
        ("shop:gone", "shop.py"),
        ("shop:", "shop.py"),
        ("flows.deep:orders", "flows/deep/__init__.py:1"),
        ("broken:orders", "broken.py"),
        ("elsewhere:orders", ""),
    ],
)
def test_the_place_of_a_definition_is_found_without_importing_it(
    tmp_path: Path, reference: str, found: str
) -> None:
    files = {
        "shop.py": "\norders = Workflow()\ntyped: Any = 1\n",
        "flows/deep/__init__.py": "orders = 1",
        "broken.py": "orders = (",
    }
    for path, source in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    assert defined_at(reference, [str(tmp_path)]) == str(tmp_path / found)
    assert defined_at(reference, []) == ""
