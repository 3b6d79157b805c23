"""The README is also the page of a package index: what it names is there, and no link breaks."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.pages import ROOT

README = (ROOT / "README.md").read_text()
NAMED = re.compile(r"\b(?:docs|examples|benchmarks)/[\w./-]+\w|\b[\w-]+\.(?:md|yaml)\b")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution and the wheel. Returns their folder."""
    folder = tmp_path_factory.mktemp("distributions")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return folder


def test_no_link_of_the_readme_is_relative() -> None:
    """A package index would resolve it against its own address."""
    assert re.findall(r"\]\((?!https://)([^)]*)\)", README) == []


def test_every_file_that_the_readme_names_is_in_the_source_distribution(
    distributions: Path,
) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as distribution:
        names = {name.partition("/")[2] for name in distribution.getnames()}
    names |= {str(folder) for name in names for folder in Path(name).parents}
    named = {name.replace("\\", "") for name in NAMED.findall(README)}
    assert {name for name in named if name not in names and f"docs/{name}" not in names} == set()


def test_the_wheel_has_the_packages_the_readme_and_nothing_else(distributions: Path) -> None:
    (archive,) = distributions.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        folders = {name.partition("/")[0] for name in wheel.namelist()}
        assert folders == {"workflow_ray", "workflow_ray_adapters", metadata.partition("/")[0]}
        assert wheel.read(metadata).decode().endswith(README)
