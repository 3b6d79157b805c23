"""The picture of docs/graph.md, from the program there: `make graph-picture` writes it."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.end_to_end.pages import blocks

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = DOCS / "images" / "orders.svg"


def svg() -> str:
    """Draw the workflow of the page with the current code."""
    program = next(block for block in blocks(DOCS / "graph.md") if block.file == "shop.py")
    command = [sys.executable, "-m", "workflow_ray.cli", "graph", "shop:orders", "--format", "svg"]
    with TemporaryDirectory() as folder:
        Path(folder, "shop.py").write_text(program.text)
        drawn = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return drawn.stdout.decode()


if __name__ == "__main__":
    PICTURE.write_text(svg())
