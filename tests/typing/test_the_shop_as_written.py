"""mypy and pyright, both strict, accept the program that this project was asked to make possible,
tests/shop/shop.py, and reject each marked line of mistakes.py beside it and no other line.

They check copies in a folder of their own, as they check a user's program.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("shop.py", "mistakes.py")
PATHS = [str(ROOT), str(ROOT / "adapters")]
PYRIGHT = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": PATHS}
Place: TypeAlias = tuple[str, int]


def output_of(folder: Path, *command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "MYPYPATH": os.pathsep.join(PATHS)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def rejected_by_mypy(folder: Path) -> set[Place]:
    # `--follow-imports=silent`: what it finds in workflow_ray is the matter of `make check`
    options = ("--strict", "--follow-imports=silent", "--no-error-summary", "--hide-error-context")
    output = output_of(folder, "mypy", *options, *FILES)
    return {
        (file, int(line))
        for file, line in re.findall(r"^([^:\n]+):(\d+): error:", output, re.MULTILINE)
    }


def rejected_by_pyright(folder: Path) -> set[Place]:
    (folder / "pyrightconfig.json").write_text(json.dumps({**PYRIGHT, "include": FILES}))
    found = json.loads(output_of(folder, "pyright", "--outputjson", "--pythonpath", sys.executable))
    return {
        (Path(error["file"]).name, error["range"]["start"]["line"] + 1)
        for error in found["generalDiagnostics"]
        if error["severity"] == "error"
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rejected_by", [rejected_by_mypy, rejected_by_pyright])
def test_a_checker_rejects_the_mistakes_and_nothing_else(
    rejected_by: Callable[[Path], set[Place]], tmp_path: Path
) -> None:
    for file in FILES:
        shutil.copy(ROOT / "tests" / "shop" / file, tmp_path)
    assert rejected_by(tmp_path) == {
        ("mistakes.py", number)
        for number, line in enumerate((tmp_path / "mistakes.py").read_text().splitlines(), start=1)
        if "# mistake" in line
    }
