"""The documentation site builds without a warning, needs no network, and shows the whole API."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import workflow_ray
from workflow_ray import testing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does. Returns its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir"]
    built = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


def test_the_site_has_every_page(site: Path) -> None:
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert pages <= {page.stem for page in site.glob("*.html")}


def test_the_site_loads_nothing_from_the_network(site: Path) -> None:
    loaded = re.compile(r'<(?:script|img|iframe)[^>]*\bsrc="(?:https?:)?//|<link[^>]*="https?://')
    assert [page.name for page in site.glob("*.html") if loaded.search(page.read_text())] == []


def test_the_api_page_has_every_export(site: Path) -> None:
    shown = set(re.findall(r'id="(workflow_ray\.[\w.]+)"', (site / "api.html").read_text()))
    exported = {f"workflow_ray.{name}" for name in workflow_ray.__all__}
    exported |= {f"workflow_ray.testing.{name}" for name in testing.__all__}
    assert exported - shown == set()


def test_the_api_page_has_the_methods_that_a_class_inherits(site: Path) -> None:
    shown = set(re.findall(r'id="(workflow_ray\.[\w.]+)"', (site / "api.html").read_text()))
    inherited = {"Client.runs", "Handle.history", "Handle.pause", "Workflow.callback"}
    assert {f"workflow_ray.{name}" for name in inherited} - shown == set()
