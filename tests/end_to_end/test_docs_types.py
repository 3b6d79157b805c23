"""The Python files that the README and the pages of docs/ show pass mypy's strict check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.pages import PAGES, ROOT, blocks

FILES = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.stem)
def test_the_files_of_a_page_pass_mypy(
    page: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in blocks(page):
        if block.language == "python":
            (tmp_path / str(block.file)).write_text(block.text)
    monkeypatch.setenv("MYPYPATH", f"{ROOT}:{ROOT / 'adapters'}")
    files = sorted(map(str, tmp_path.glob("*.py")))
    command = ["-m", "mypy", "--strict", "--explicit-package-bases", "--cache-dir", str(cache)]
    done = subprocess.run(
        [sys.executable, *command, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
