"""What the pages of docs/ show is true: their files and commands are made and run in the order in
which they stand.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = {"workflow-ray": "-m workflow_ray.cli", "python": ""}
PAGES = [
    page for page in sorted((ROOT / "docs").glob("*.md")) if "```python\n# " in page.read_text()
]
"""Those that show the files that their commands are about."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a shell in which the tools are installed."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, arguments in TOOLS.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (tools / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
        # a file may be changed within the second by which Python tells
        "PYTHONDONTWRITEBYTECODE": "1",
        "WORKFLOW_RAY_HOME": str(tmp_path / "home"),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for language, block in re.findall(
        r"^```(python|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        if language == "python":
            (folder / block.split("\n", 1)[0].removeprefix("# ")).write_text(block)
            continue
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = entry.partition("\n")
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert re.search(pattern(shown), spaced(done.stdout)), (
                f"$ {command}\n{done.stdout}{done.stderr}"
            )


TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z"
RUN_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
ANYTHING = r"[\s\S]*?"
VARYING = {TIME: TIME, RUN_ID: RUN_ID, re.escape("..."): ANYTHING}
"""What is not the same each time, as it is shown, and what may come in its place."""


def pattern(shown: str) -> str:
    parts = re.split("(" + "|".join(VARYING) + ")", spaced(shown))
    return "".join(
        next(
            (other for this, other in VARYING.items() if re.fullmatch(this, part)), re.escape(part)
        )
        for part in parts
    )


def spaced(text: str) -> str:
    """Without the width of columns."""
    return re.sub(" *\n", "\n", re.sub(" +", " ", text)).strip()
