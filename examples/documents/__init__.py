"""Documents are split into pages, the pages are embedded in batches, and an index collects them.

documents: RECEIVED -- split --> READING -- index, after the last page has ended --> INDEXED
pages:     NEW -- embed, many pages in one call --> EMBEDDED

The index is searched by meaning: see `python -m examples.documents`.
"""

import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel

from examples.documents.embedder import Embedder, HashEmbedder
from examples.documents.index import Entry, Index
from workflow_ray import Cancel, Children, RayOptions, Run, Status, Workflow, resource


class DocumentStatus(Status):
    RECEIVED = 1
    READING = 2
    INDEXED = 3


class Document(BaseModel):
    """The data holds the path, and the pages hold the text: a run's data is at most 1 MiB."""

    path: str
    pages: int = 0
    left_out: int = 0


class PageStatus(Status):
    NEW = 1
    EMBEDDED = 2


class Page(BaseModel):
    number: int
    title: str
    text: str
    vector: list[float] = []


DocumentRun: TypeAlias = Run[Document, DocumentStatus]
PageRun: TypeAlias = Run[Page, PageStatus]
documents = Workflow("documents", Document, DocumentStatus)
pages = Workflow("pages", Page, PageStatus)


# To use a model of your own, yield it here, in a class with the method of `Embedder`.
@resource
async def embedder() -> AsyncIterator[Embedder]:
    yield HashEmbedder()


@resource
async def index() -> AsyncIterator[Index]:
    yield Index()


# All pages of a document are started in one transaction, with the new status of the document.
@documents.step(DocumentStatus.RECEIVED)
def split(run: DocumentRun) -> Literal[DocumentStatus.READING]:
    for page in pages_of(Path(run.data.path).read_text()):
        run.start(pages, f"{run.foreign_id}/{page.number}", page, cascade=True)
        run.data.pages += 1
    return DocumentStatus.READING


# One call of the model for up to 32 pages, of whatever documents. It begins when 32 are there, or
# 50 ms after the first.
@pages.batch_step(
    PageStatus.NEW,
    max_batch=32,
    max_wait=timedelta(milliseconds=50),
    ray=RayOptions(num_gpus=float(os.environ.get("EMBEDDER_GPUS", "0"))),
)
def embed(
    runs: list[PageRun], model: Embedder = embedder.value
) -> list[Literal[PageStatus.EMBEDDED] | Cancel]:
    vectors = model.embed([f"{run.data.title}\n{run.data.text}" for run in runs])
    for run, vector in zip(runs, vectors, strict=True):
        run.data.vector = vector
    return [PageStatus.EMBEDDED if any(run.data.vector) else Cancel("no words") for run in runs]


# It may run twice, if its process dies before the transition is committed: so the index replaces
# what it has of the document.
@documents.children(DocumentStatus.READING, pages)
async def collect(
    run: DocumentRun, children: Children[Page, PageStatus], index: Index = index.value
) -> Literal[DocumentStatus.INDEXED]:
    run.data.left_out = children.cancelled
    index.replace(
        run.foreign_id,
        [
            Entry(page.data.number, page.data.title, page.data.vector)
            async for page in children
            if page.status is PageStatus.EMBEDDED
        ],
    )
    return DocumentStatus.INDEXED


def pages_of(text: str) -> list[Page]:
    """Split a Markdown text at its headings."""
    found, is_code = [Page(number=1, title="", text="")], False
    for line in text.splitlines():
        is_code ^= line.startswith("```")
        if re.match("#+ ", line) and not is_code:
            found.append(Page(number=len(found) + 1, title=line.lstrip("# "), text=""))
        else:
            found[-1].text += f"{line}\n"
    return found if found[0].text.strip() else found[1:]
