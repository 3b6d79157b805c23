"""Code and docs are plain technical English: none of the phrases that the project rules out."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("adapters", "benchmarks", "docs", "examples", "tests", "workflow_ray")
ENDINGS = {".md", ".py", ".toml", ".yaml"}
RULED_OUT = (r"\ban[e]w\b", r"\bof[ ]before\b", r"\bis[ ]no ", r"\bhangs[ ]on\b", r"\bcame[ ]to\b")
"""Written so that this file has none of them."""


@cache
def texts() -> dict[str, str]:
    """The tree's code and docs, by path. Each is one line."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.suffix in ENDINGS or path.name == "Makefile"]
    return {
        str(path.relative_to(ROOT)): joined(path.read_text())
        for path in files
        if path.is_file() and (path.suffix in ENDINGS or path.name == "Makefile")
    }


def joined(text: str) -> str:
    """Join the lines: a phrase may go on in the next line of a comment or a paragraph."""
    return re.sub(r"\s*\n\s*(?:#+ |-- |\* )?", " ", text)


@pytest.mark.parametrize("phrase", RULED_OUT)
def test_the_tree_has_no_phrase_that_is_ruled_out(phrase: str) -> None:
    found = [
        f"{path}: ...{text[max(0, hit.start() - 40) : hit.end() + 40]}..."
        for path, text in texts().items()
        for hit in re.finditer(phrase, text, re.IGNORECASE)
    ]
    assert found == []
