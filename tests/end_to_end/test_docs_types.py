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
    monkeypatch.setenv("MYPYPATH", f"{ROOT}:{ROOT / 'adapters'}")
    for block in blocks(page):
        if block.language == "python":
            file = tmp_path / str(block.file)
            if file.exists() and file.read_text() != block.text:
                check(tmp_path, cache)
                forget_importers(file)  # the page goes on with another version of it
            file.write_text(block.text)
    check(tmp_path, cache)


def forget_importers(file: Path) -> None:
    for other in file.parent.glob("*.py"):
        if f"from {file.stem} import" in other.read_text():
            other.unlink()


def check(tmp_path: Path, cache: Path) -> None:
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
