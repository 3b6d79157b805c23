"""The conformance suites as a third party runs them: in its own project, by public imports."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "writing-an-adapter.md"
FILE = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)

INCOMPLETE = """
from collections.abc import AsyncIterator
import pytest
from workflow_ray.testing import FakeClock
from workflow_ray.testing.conformance import Capability, TimeoutStoreConformance
from workflow_ray_adapters.memory import MemoryStore

class TestIncomplete(TimeoutStoreConformance):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryStore:
        return MemoryStore(clock)

class TestLacking(TestIncomplete):
    lacks = {Capability.OPENINGS: "no other process can open it"}
"""
SETTINGS = """
[tool.pytest.ini_options]
asyncio_mode = "auto"
"""


def test_the_adapter_that_the_docs_show_passes_its_suite(tmp_path: Path) -> None:
    files = dict(FILE.findall(PAGE.read_text()))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    install(tmp_path, files["pyproject.toml"])
    outcome = run(tmp_path)
    assert "lacks a way to break it: it has no connection that could break" in outcome
    assert re.search(r"\n\d\d passed, 1 skipped in", outcome), outcome


def test_a_fixture_that_a_suite_needs_is_defined_or_declared_lacking(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "test_incomplete.py").write_text(INCOMPLETE)
    outcome = run(tmp_path, "-k", "visible_to_others")
    assert (
        "TestIncomplete has no fixture `another`. Define it, or say in `lacks` why it has no"
        " OPENINGS." in outcome
    )
    assert "lacks several openings: no other process can open it" in outcome
    assert re.search(r"\n1 skipped, \d+ deselected, 1 error in", outcome), outcome


def install(project: Path, settings: str) -> None:
    """Write the metadata with the entry points beside the modules, as pip does."""
    described = tomllib.loads(settings)["project"]
    folder = project / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    )
    groups = described["entry-points"].items()
    lines = [
        line
        for group, entries in groups
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in entries.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))


def run(project: Path, *options: str) -> str:
    """Run pytest in the project. Returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    ).stdout
