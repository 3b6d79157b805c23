"""The modules of which a definition consists (E15)."""

import compileall
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.unit.definition.modules import DEFINITION, write
from workflow_ray.definition import code_at
from workflow_ray.definition.own_modules import own_modules


def found(folder: Path, name: str = "shop", file: str = "shop.py") -> set[str]:
    """The names of the modules of which a module consists."""
    return set(own_modules(name, folder / file, folder))


@pytest.mark.parametrize(
    ("source", "helper"),
    [
        ("import rates", "rates"),
        ("import rates as r, os", "rates"),
        ("from rates import RATE", "rates"),
        ("from rates import *", "rates"),
        ("import tax.rates", "tax.rates"),
        ("from tax import rates", "tax.rates"),
        ("from tax.rates import RATE", "tax.rates"),
        ("from tax import *", "tax.rates"),
        ("try:\n    import missing\nexcept ImportError:\n    import rates", "rates"),
        ("async def step():\n    import rates", "rates"),
        ("import importlib\nimportlib.import_module('tax.rates')", "tax.rates"),
        ("from importlib import import_module\nimport_module('rates')", "rates"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import rates", "rates"),
    ],
)
def test_every_way_to_import_a_module_counts(tmp_path: Path, source: str, helper: str) -> None:
    write(
        tmp_path,
        {
            "shop.py": source,
            "rates.py": "RATE = 1",
            "tax/__init__.py": "",
            "tax/rates.py": "RATE = 1",
            "unused.py": "",
        },
    )
    assert found(tmp_path) == {"shop", helper} | ({"tax"} if helper.startswith("tax") else set())


def test_imports_of_helpers_count_and_cycles_end(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop.py": "import one",
            "one.py": "import two",
            "two.py": "import three, one",
            "three.py": "import shop",
        },
    )
    assert found(tmp_path) == {"shop", "one", "two", "three"}


def test_packages_around_a_module_and_their_imports_count(tmp_path: Path) -> None:
    files = {
        "shop/__init__.py": "from . import settings",
        "shop/settings.py": "",
        "shop/flows/__init__.py": "",
        "shop/flows/orders.py": "",
    }
    write(tmp_path, files)
    assert found(tmp_path, "shop.flows.orders", "shop/flows/orders.py") == {
        "shop",
        "shop.settings",
        "shop.flows",
        "shop.flows.orders",
    }


def test_relative_imports_are_followed(tmp_path: Path) -> None:
    orders = (
        "from . import steps\nfrom .steps import charge\nfrom ..common.money import cents\nfrom"
        " .... import beyond"
    )
    files = {
        "shop/flows/orders.py": orders,
        "shop/flows/steps.py": "",
        "shop/common/__init__.py": "",
        "shop/common/money.py": "",
    }
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/flows/__init__.py": "from .later import *",
            "shop/flows/later.py": "",
            **files,
        },
    )
    others = {
        "shop",
        "shop.flows",
        "shop.flows.later",
        "shop.flows.steps",
        "shop.common",
        "shop.common.money",
    }
    assert found(tmp_path, "shop.flows.orders", "shop/flows/orders.py") == {
        "shop.flows.orders",
        *others,
    }


def test_packages_without_an_init_file_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop/flows/orders.py": "from shop.common import money\nimport other.deep.rates",
            "shop/common/money.py": "",
        },
    )
    write(tmp_path, {"other/deep/rates.py": "", "other/deep/unused.py": ""})
    found_here = found(tmp_path, "shop.flows.orders", "shop/flows/orders.py")
    assert found_here == {"shop.flows.orders", "shop.common.money", "other.deep.rates"}


def test_imports_for_type_checkers_only_do_not_count(tmp_path: Path) -> None:
    guarded = "if TYPE_CHECKING:\n    import web\nif typing.TYPE_CHECKING:\n    import web"
    write(
        tmp_path,
        {"shop.py": f"import typing\nfrom typing import TYPE_CHECKING\n{guarded}", "web.py": ""},
    )
    assert found(tmp_path) == {"shop"}


def test_other_folders_and_workflow_ray_itself_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere", {"library.py": ""})
    monkeypatch.setattr(sys, "path", [str(tmp_path / "elsewhere"), *sys.path])
    write(
        tmp_path,
        {"shop.py": "import library, json, pydantic, workflow_ray", "workflow_ray/__init__.py": ""},
    )
    assert found(tmp_path) == {"shop"}


@pytest.mark.parametrize("folder", ["lib/site-packages", "vendored"])
def test_only_the_definitions_own_package_counts_among_installed_ones(
    tmp_path: Path, folder: str
) -> None:
    write(
        tmp_path / folder,
        {
            "shop/__init__.py": "",
            "shop/orders.py": "import library\nfrom shop import rates",
            "shop/rates.py": "",
        },
    )
    write(tmp_path / folder, {"library.py": "", "library-1.0.dist-info/METADATA": ""})
    assert found(tmp_path / folder, "shop.orders", "shop/orders.py") == {
        "shop",
        "shop.orders",
        "shop.rates",
    }


def test_a_module_that_does_not_parse_counts_by_its_bytes(tmp_path: Path) -> None:
    write(tmp_path, {"shop.py": "import broken, nul", "broken.py": "def (", "nul.py": "\0"})
    assert found(tmp_path) == {"shop", "broken", "nul"}


def test_extension_modules_count_by_their_bytes(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop.py": "import fast",
            f"fast{EXTENSION_SUFFIXES[0]}": "import unused",
            "unused.py": "",
        },
    )
    before = own_modules("shop", tmp_path / "shop.py", tmp_path)
    assert set(before) == {"shop", "fast"}
    write(tmp_path, {f"fast{EXTENSION_SUFFIXES[0]}": "another build"})
    assert own_modules("shop", tmp_path / "shop.py", tmp_path)["fast"] != before["fast"]


def test_compiled_modules_without_source_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shop/__init__.py": "",
            "shop/orders.py": "from . import rates\nimport tax",
            "shop/rates.py": "",
            "tax.py": "",
        },
    )
    write(
        tmp_path,
        {
            "shop/rates.py": "def later():\n    from .deep.rates import RATE",
            "shop/deep/rates.py": "RATE = 1",
        },
    )
    assert compileall.compile_dir(str(tmp_path), quiet=1, legacy=True)
    for source in tmp_path.rglob("*.py"):
        source.unlink()
    assert found(tmp_path, "shop.orders", "shop/orders.pyc") == {
        "shop",
        "shop.orders",
        "shop.rates",
        "shop.deep.rates",
        "tax",
    }


def test_modules_in_a_zip_file_are_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("shop/__init__.py", "")
        archive.writestr("shop/orders.py", "from shop.rates import RATE")
        archive.writestr("shop/rates.py", "RATE = 1")
    folder = tmp_path / "app.zip"
    assert found(folder, "shop.orders", "shop/orders.py") == {"shop", "shop.orders", "shop.rates"}


def test_the_files_of_a_module_that_can_not_be_imported_are_found(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, {f"{name}/__init__.py": "", f"{name}/orders.py": "import rates\ndef (:"})
    write(tmp_path / "elsewhere", {"rates.py": "A = 1"})
    code, folders = code_at(f"{name}.orders:orders", [str(tmp_path / "elsewhere"), str(tmp_path)])
    assert set(code) == {name, f"{name}.orders"}
    assert folders == {tmp_path / name}
    assert name not in sys.modules


def test_the_code_of_a_reference_has_the_digests_of_the_code_that_is_deployed(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, {f"{name}.py": f"import {name}_rates\n{DEFINITION}", f"{name}_rates.py": ""})
    code, _ = code_at(f"{name}:orders", [str(tmp_path)])
    assert code == own_modules(name, tmp_path / f"{name}.py", tmp_path)


def test_a_module_that_is_not_there_has_no_code(tmp_path: Path, name: str) -> None:
    assert code_at(f"{name}:orders", [str(tmp_path)]) == ({}, set())
    (tmp_path / name).mkdir()  # a namespace package has no file
    assert code_at(f"{name}:orders", [str(tmp_path)]) == ({}, set())
