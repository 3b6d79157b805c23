"""What the README and the pages of docs/ show is true.

The tests write the files of a page and run its commands, in the order of the page.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.end_to_end.pages import PAGES, ROOT, Session, blocks
from tests.servers import Kafka

SHOWN_ONLY = {"text", "toml"}
"""The languages of blocks that ask the reader to do nothing."""
ON_SERVERS = {"kafka", "mariadb", "postgresql"}
"""Pages that need a server. Each has its own test."""
TOLD = [page for page in PAGES if any(block.language == "console" for block in blocks(page))]


def do(page: Path, folder: Path, places: dict[str, str]) -> None:
    """Write the page's files and run its commands, in order."""
    (folder / "work").mkdir()
    with Session(folder / "work", folder / "home", places) as session:
        for block in blocks(page):
            if block.language == "console":
                for command, shown in block.commands():
                    session.run(command, shown)
            elif block.file is not None:
                session.write(block.file, block.text)
        session.finish()


@pytest.mark.timeout(180)  # one of them starts Ray
@pytest.mark.parametrize(
    "page", [page for page in TOLD if page.stem not in ON_SERVERS], ids=lambda page: page.stem
)
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    do(page, tmp_path, {})


def test_the_page_on_postgresql_does_what_it_shows(tmp_path: Path, postgres_url: str) -> None:
    do(
        ROOT / "docs" / "postgresql.md",
        tmp_path,
        {"postgresql://shop:secret@db/shop": postgres_url},
    )


def test_the_page_on_mariadb_does_what_it_shows(tmp_path: Path, mariadb_url: str) -> None:
    url = urlsplit(mariadb_url)
    options = f"--host={url.hostname} --port={url.port} --user={url.username} {url.path[1:]}"
    places = {
        "mariadb://shop:secret@db/shop": mariadb_url,
        "--host=db --user=shop --password=secret shop": options,
    }
    do(ROOT / "docs" / "mariadb.md", tmp_path, places)


def test_the_page_on_kafka_does_what_it_shows(tmp_path: Path, kafka: Kafka) -> None:
    places = {"kafka://one:9092,two:9092/shop": f"{kafka.url}/page-{uuid4().hex}"}
    do(ROOT / "docs" / "kafka.md", tmp_path, places)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_run_or_is_only_shown(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            assert block.file, f"names no file in its first line:\n{block.text}"
        else:
            assert block.language in {"console", *SHOWN_ONLY}, block.text
    prose = re.sub(r"^```[\s\S]*?^```$", "", page.read_text(), flags=re.MULTILINE)
    assert not re.search(r"^\n(?: {4}|\t)\S", prose, re.MULTILINE), "indented code is not run"
