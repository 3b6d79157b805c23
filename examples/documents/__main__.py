"""Indexes documents, and finds the pages that a question is about.

    python -m examples.documents [--ask QUESTION] [FILE...]

Without files it takes the Markdown files of docs/, in this repository.
"""

import asyncio
import zlib
from pathlib import Path

from examples.documents import Document, DocumentStatus, documents, embedder, pages
from examples.documents.embedder import calls
from examples.documents.index import Index
from examples.running import Options, parser_of, runtime_of
from workflow_ray import Trigger

DOCS = Path(__file__).parents[2] / "docs"


class Asked(Options):
    """The options."""

    files: list[Path]
    ask: str


def trigger_of(file: Path) -> Trigger[Document, DocumentStatus]:
    """Return the trigger of a file. A file that has not changed since is known by its key."""
    text = file.read_bytes()
    key = f"{file.name}:{zlib.crc32(text):08x}"
    return Trigger(file.name, Document(path=str(file.resolve())), idempotency_key=key)


async def main(options: Asked) -> None:
    async with runtime_of(options, documents, pages) as runtime:
        client = runtime.client(documents)
        started = await client.trigger_many([trigger_of(file) for file in options.files])
        unread = [handle for handle, _ in started if not (await handle.get()).run_state.finished]
        print(f"{len(unread)} of {len(started)} documents are to be indexed", flush=True)
        for indexed in asyncio.as_completed([handle.wait() for handle in unread]):
            run = await indexed
            print(f"indexed {run.foreign_id}, pages: {run.data.pages}", flush=True)
    if calls:
        print(f"{len(calls)} calls of the model for {sum(calls)} pages")
    async with embedder.open() as model:
        (question,) = model.embed([options.ask])
    print(f"Of the {Index().count()} pages in the index, nearest to {options.ask!r}:")
    for nearness, document, title in Index().search(question):
        print(f"  {nearness:.2f} {document}: {title or 'the beginning'}")


if __name__ == "__main__":
    parser = parser_of("documents", "Index documents, and find pages by a question.")
    parser.add_argument("files", nargs="*", type=Path, help="Markdown files (default: docs/*.md)")
    parser.add_argument("--ask", default="pause and resume a schedule", help="a question")
    asked = parser.parse_args(namespace=Asked())
    asked.files = asked.files or sorted(DOCS.glob("*.md"))
    asyncio.run(main(asked))
