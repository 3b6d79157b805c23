"""The files around the code: what a newcomer's machine, a cluster and continuous integration rely
on.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from workflow_ray.ports.adapters import OURS
from workflow_ray.testing import plugin

ROOT = Path(__file__).parents[2]


def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


def pins() -> dict[str, str]:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    return dict(line.lower().replace("_", "-").split("==") for line in lines)


OF_CODECS = {"encryption", "claim-checks"}
"""The extras of codecs, which are not found by a URL's scheme."""


def extras() -> dict[str, list[str]]:
    declared: dict[str, list[str]] = project()["optional-dependencies"]
    return declared


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return loaded


def requirements() -> list[str]:
    asked = [
        *project()["dependencies"],
        *(requirement for extra in extras().values() for requirement in extra),
    ]
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in asked]
    return [name for name in names if name != project()["name"]]  # an extra may name others


def test_pytest_loads_the_plugin_by_the_name_of_its_module() -> None:
    """So that `-p`, as these tests use it, does not load it a second time."""
    entry_points: dict[str, dict[str, str]] = project()["entry-points"]
    assert entry_points == {"pytest11": {plugin.__name__: plugin.__name__}}


def test_rays_own_schema_accepts_the_cluster() -> None:
    validate_config(prepare_config(cluster()))


def test_rays_own_schema_rejects_a_misspelt_cluster() -> None:
    misspelt: dict[str, Any] = {**cluster(), "setup_comands": ""}
    with pytest.raises(Exception, match="'setup_comands' was unexpected"):
        validate_config(prepare_config(misspelt))


def test_the_cluster_runs_the_pinned_ray_with_token_authentication() -> None:
    docker = cluster()["docker"]
    assert f"ray:{pins()['ray']}-" in docker["image"]
    assert "--env RAY_AUTH_MODE=token" in docker["run_options"]
    assert "~/.ray/auth_token" in cluster()["file_mounts"]


def test_everything_that_is_asked_for_is_pinned() -> None:
    assert [name for name in requirements() if name not in pins()] == []


def test_each_adapter_that_needs_more_has_an_extra_and_all_of_them_are_in_all() -> None:
    asked_for = {extra for _, extra in OURS.values() if extra}
    asked_for |= OF_CODECS
    assert asked_for == extras().keys() - {"all", "dev"}
    assert extras()["all"] == [
        f"workflow-ray[{','.join(extra for extra in extras() if extra in asked_for)}]"
    ]


def test_the_pins_are_exact_and_name_no_index_and_no_path() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)] == []
