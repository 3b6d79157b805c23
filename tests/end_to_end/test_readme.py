"""The README is also the page of a package index: what it names is there, and no link breaks."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.end_to_end.pages import ROOT

README = (ROOT / "README.md").read_text()
NAMED = sorted(set(re.findall(r"\b(?:docs|examples)/[\w./-]+\w|\b[\w-]+\.(?:md|yaml)\b", README)))


def test_no_link_of_the_readme_is_relative() -> None:
    """A package index would resolve it against its own address."""
    assert re.findall(r"\]\((?!https://)([^)]*)\)", README) == []


def test_every_file_that_the_readme_names_is_in_the_source_distribution(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as distribution:
        names = {name.partition("/")[2] for name in distribution.getnames()}
    names |= {str(folder) for name in names for folder in Path(name).parents}
    assert [name for name in NAMED if name not in names and f"docs/{name}" not in names] == []
