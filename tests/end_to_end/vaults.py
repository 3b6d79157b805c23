"""A worker process for tests: `python -m tests.end_to_end.vaults JOURNAL LEASE URL`.

It runs workflows with codecs until SIGTERM, and then stops in an orderly way. The keys, the keys of
the runs and the claim-checks are in the folder of the file JOURNAL. Each call of the step adds a
line to that file: the foreign id.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from tests.end_to_end.serving import serve
from workflow_ray import (
    ClaimChecks,
    Codec,
    Compression,
    Encryption,
    Fatal,
    Retry,
    Run,
    Status,
    Workflow,
    keys_from_file,
)

SECRET = "Jane.Doe.4b9f2a17c6"
LARGE = f"{SECRET} " + "".join(map(chr, range(300, 6000)))
"""Data that does not get small when it is compressed."""


class At(Status):
    NEW = 1
    LABELLED = 2
    SENT = 3
    STORED = 4


class Stage(Status):
    OPEN = 1
    PRINTED = 2


class Parcel(BaseModel):
    owner: str = SECRET
    note: str = ""


class Label(BaseModel):
    text: str = SECRET


@dataclass
class Vaults:
    """The workflows, and functions of theirs."""

    parcels: Workflow[Parcel, At]
    labels: Workflow[Label, Stage]
    stored: Any
    refused: Any


def codecs_in(folder: Path) -> list[Codec]:
    return [
        Compression(),
        Encryption(keys_from_file(folder / "keys"), run_keys=f"sqlite:///{folder}/of-runs/keys.db"),
        ClaimChecks(f"file://{folder}/claims", above=4000),
    ]


def vaults(folder: Path, *, codecs: bool = True) -> Vaults:
    """Make the workflows, with what is in the folder."""
    parcels = Workflow("parcels", Parcel, At, codec=codecs_in(folder) if codecs else ())
    labels = Workflow("labels", Label, Stage, codec=codecs_in(folder) if codecs else ())

    @labels.step(Stage.OPEN)
    async def print_label(run: Run[Label, Stage]) -> Literal[Stage.PRINTED]:
        return Stage.PRINTED

    @parcels.step(At.NEW, retry=Retry(attempts=2, backoff=0.0))
    async def begin(run: Run[Parcel, At]) -> Literal[At.LABELLED]:
        with (folder / "journal").open("a") as file:
            file.write(f"{run.foreign_id}\n")
        await run.once("looked up", str, SECRET)
        if run.attempt == 0:
            raise ValueError(f"{SECRET} is unknown")
        run.data.note = f"{SECRET} is known"
        run.start(labels, f"label-{run.foreign_id}", Label(text=run.data.owner))
        return At.LABELLED

    @parcels.child(At.LABELLED, labels)
    async def labelled(run: Run[Parcel, At], label: Run[Label, Stage]) -> Literal[At.SENT]:
        assert label.data.text == SECRET
        return At.SENT

    @parcels.callback(At.SENT)
    async def refused(run: Run[Parcel, At], message: str) -> Literal[At.STORED]:
        raise Fatal(f"nothing is known of {message}")

    @parcels.callback(At.SENT)
    async def stored(run: Run[Parcel, At], message: str) -> Literal[At.STORED]:
        assert message == SECRET
        run.data.note = LARGE
        return At.STORED

    return Vaults(parcels, labels, stored, refused)


async def main(journal: str, lease: str, url: str) -> None:
    made = vaults(Path(journal).parent)
    await serve([made.parcels, made.labels], lease, url, None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
