"""The digest of the modules of which a definition consists."""

import sys
from pathlib import Path

from tests.unit.definition.modules import DEFINITION, forget, printed, write
from workflow_ray.definition import code_of, load

PRINTED = "from workflow_ray.definition import code_of\nprint(code_of(orders))\n"


def digest(folder: Path, name: str) -> str:
    """The digest of `orders` in a module that is imported here."""
    return code_of(load(f"{name}:orders", [str(folder)]))


def test_a_helper_that_is_changed_on_disk_changes_the_digest(tmp_path: Path, name: str) -> None:
    write(
        tmp_path,
        {
            f"{name}.py": f"import {name}_rates\n{DEFINITION}",
            f"{name}_rates.py": f"import {name}_deep",
            f"{name}_deep.py": "A = 1",
        },
    )
    before = digest(tmp_path, name)
    assert digest(tmp_path, name) == before
    write(tmp_path, {f"{name}_deep.py": "A = 2"})
    assert digest(tmp_path, name) != before
    write(tmp_path, {f"{name}_deep.py": "A = 1", "unused.py": "A = 2"})
    assert digest(tmp_path, name) == before


def test_the_digest_is_the_same_in_another_folder(tmp_path: Path, name: str) -> None:
    digests: set[str] = set()
    for folder in (tmp_path / "one", tmp_path / "other/deep"):
        write(
            folder,
            {
                f"{name}/__init__.py": "",
                f"{name}/orders.py": f"from . import rates\n{DEFINITION}",
                f"{name}/rates.py": "A = 1",
            },
        )
        digests.add(code_of(load(f"{name}.orders:orders", [str(folder)])))
        sys.path.remove(str(folder))
        forget(name)
    assert len(digests) == 1


def test_the_digest_does_not_depend_on_what_a_process_has_imported(
    tmp_path: Path, name: str
) -> None:
    write(
        tmp_path,
        {
            f"{name}.py": f"import {name}_rates\n{DEFINITION}",
            f"{name}_rates.py": "A = 1",
            f"{name}_other.py": f"import {name}_rates",
        },
    )
    script = (
        f"import sys; sys.path.insert(0, '.'); {{}}from {name} import orders;"
        f" {PRINTED.replace(chr(10), ';')}"
    )
    plain = printed(tmp_path, "-c", script.format(""))
    assert plain
    assert printed(tmp_path, "-c", script.format(f"import {name}_other, json, csv;")) == plain
    assert printed(tmp_path, "-O", "-c", script.format("")) == plain
    assert digest(tmp_path, name) == plain


def test_a_script_has_the_same_digest_as_the_module_that_others_import(
    tmp_path: Path, name: str
) -> None:
    guarded = (
        "if __name__ == '__main__':\n    from workflow_ray.definition import code_of\n   "
        " print(code_of(orders))\n"
    )
    write(
        tmp_path,
        {f"{name}.py": f"import {name}_rates\n{DEFINITION}{guarded}", f"{name}_rates.py": "A = 1"},
    )
    write(
        tmp_path,
        {
            f"{name}_package/__init__.py": "",
            f"{name}_package/orders.py": f"from . import rates\n{DEFINITION}{guarded}",
        },
    )
    write(tmp_path, {f"{name}_package/rates.py": "A = 1"})
    assert (
        printed(tmp_path, f"{name}.py")
        == printed(tmp_path.parent, tmp_path / f"{name}.py")
        == digest(tmp_path, name)
    )
    of_package = code_of(load(f"{name}_package.orders:orders", [str(tmp_path)]))
    assert printed(tmp_path, "-m", f"{name}_package.orders") == of_package != digest(tmp_path, name)


def test_a_script_by_any_name_has_a_digest_and_text_without_a_file_has_none(tmp_path: Path) -> None:
    digests: set[str] = set()
    for file in ("orders", "my-orders.v2.py"):
        write(tmp_path, {file: f"{DEFINITION}{PRINTED}"})
        digests.add(printed(tmp_path, file))
    assert [len(each) for each in digests] == [64, 64]
    assert printed(tmp_path, "-c", f"{DEFINITION}{PRINTED}") == ""
