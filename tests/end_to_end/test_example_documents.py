"""The documents of the examples: each page is embedded, in batches, and each document indexed."""

import re
from pathlib import Path

import pytest

from examples.documents import (
    Document,
    DocumentStatus,
    PageStatus,
    documents,
    embedder,
    index,
    pages,
    pages_of,
)
from examples.documents.embedder import HashEmbedder
from examples.documents.index import Entry, Index
from tests.end_to_end.examples import crash, run_example
from workflow_ray import RunState, Trigger
from workflow_ray.testing import WorkflowTester

TEXT = """# Birds
They sing.

## Owls
They hunt at night.

```text
# not a heading
```

## 1

## Geese
They travel south.
"""


class Counting(HashEmbedder):
    """Notes how many texts each call had, and fails in the first one if it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.sizes: list[int] = []
        self._fails = fails

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.sizes.append(len(texts))
        if self._fails:
            self._fails = False
            raise MemoryError("too many texts")
        return super().embed(texts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "birds.md"
    path.write_text(TEXT)
    return path


async def test_a_document_is_indexed_when_its_last_page_is_embedded(
    file: Path, tmp_path: Path
) -> None:
    found, model = Index(tmp_path), Counting()
    async with WorkflowTester(
        documents, pages, resources={index: found, embedder: model}
    ) as tester:
        handle = await tester.client(documents).trigger("birds", Document(path=str(file)))
        run = await handle.wait()
        children = [(child.status, child.run_state) async for child in handle.children(pages)]
    assert (run.status, run.data.pages, run.data.left_out) == (DocumentStatus.INDEXED, 4, 1)
    assert children.count((PageStatus.EMBEDDED, RunState.COMPLETED)) == 3
    assert children.count((PageStatus.NEW, RunState.CANCELLED)) == 1
    assert found.count() == 3
    (question,) = HashEmbedder().embed(["which birds travel south"])
    assert found.search(question)[0].title == "Geese"
    assert model.sizes == [4]


async def test_pages_of_several_documents_share_a_call(file: Path, tmp_path: Path) -> None:
    model = Counting()
    async with WorkflowTester(
        documents, pages, resources={index: Index(tmp_path), embedder: model}
    ) as tester:
        started = await tester.client(documents).trigger_many(
            [Trigger(str(number), Document(path=str(file))) for number in range(10)]
        )
        for handle, _ in started:
            await handle.wait()
    assert sum(model.sizes) == 40
    assert max(model.sizes) > 4, "each document has four pages"


async def test_a_call_that_fails_is_made_again_in_halves(file: Path, tmp_path: Path) -> None:
    model = Counting(fails=True)
    async with WorkflowTester(
        documents, pages, resources={index: Index(tmp_path), embedder: model}
    ) as tester:
        handle = await tester.client(documents).trigger("birds", Document(path=str(file)))
        assert (await handle.wait()).status is DocumentStatus.INDEXED
    assert model.sizes == [4, 2, 2]


def test_an_index_that_is_written_twice_has_each_page_once(tmp_path: Path) -> None:
    found = Index(tmp_path)
    for _ in range(2):
        found.replace("birds", [Entry(1, "Owls", [1.0]), Entry(2, "Geese", [0.5])])
    found.replace("cats", [Entry(1, "Lions", [0.1])])
    assert found.count() == 3
    assert [each.title for each in found.search([1.0], limit=2)] == ["Owls", "Geese"]


def test_headings_begin_pages_and_code_does_not() -> None:
    assert [page.title for page in pages_of(TEXT)] == ["Birds", "Owls", "1", "Geese"]
    assert [page.title for page in pages_of("no heading\n# One\n")] == ["", "One"]
    assert pages_of("") == []


@pytest.mark.timeout(120)
def test_the_one_command_answers_a_question_and_indexes_nothing_again(tmp_path: Path) -> None:
    first = run_example("documents", tmp_path, "--ask", "which birds travel south")
    documents, calls, texts = (
        int(re.findall(pattern, first)[0])
        for pattern in (r"(\d+) of \d+ documents", r"(\d+) calls", r"model for (\d+) pages")
    )
    assert first.count("indexed ") == documents > 20
    assert texts > 5 * calls, "many pages share a call"
    second = run_example("documents", tmp_path, "--ask", "pause and resume a schedule")
    assert f"0 of {documents} documents are to be indexed" in second
    assert re.search(r"^  0\.\d\d cli\.md: `.*schedules.*`$", second, re.MULTILINE)


@pytest.mark.timeout(120)
def test_every_page_is_indexed_however_often_it_is_killed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_example("documents", whole)
    crash("documents", killed, kills=3)
    assert Index(killed).count() == Index(whole).count() > 100
