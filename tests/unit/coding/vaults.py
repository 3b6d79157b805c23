"""Workflows with codecs, which use everything that may hold data of a user."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from tests.unit.codecs.keys_in_memory import KeysInMemory
from workflow_ray import (
    ClaimChecks,
    Client,
    Codec,
    Compression,
    ConnectorEvent,
    Encryption,
    Fatal,
    Retention,
    Retry,
    Run,
    Status,
    Workflow,
    new_key,
)
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemorySource

SECRET = "marked-secret"


class At(Status):
    NEW = 1
    CHECKED = 2
    DELIVERED = 3
    STORED = 4


class Stage(Status):
    OPEN = 1
    CLOSED = 2


class Parcel(BaseModel):
    content: str = SECRET
    note: str = ""


class Label(BaseModel):
    text: str = SECRET


ParcelRun = Run[Parcel, At]
LabelRun = Run[Label, Stage]


@dataclass
class Vaults:
    """A workflow whose runs hold a secret, and one of its children.

    Attributes:
        seen: What the hook has read, in order.
    """

    parcels: Workflow[Parcel, At]
    labels: Workflow[Label, Stage]
    keys: KeysInMemory
    claims: Path
    paid: Any
    seen: list[str] = field(default_factory=list[str])

    def tester(self) -> WorkflowTester:
        return WorkflowTester(self.parcels, self.labels)


def print_label(text: str) -> str:
    return f"label of {text}"


def codecs_in(folder: Path, keys: KeysInMemory, key: str | None = None) -> Sequence[Codec]:
    return (
        Compression(),
        Encryption([key or KEY], run_keys=keys),
        ClaimChecks(f"file://{folder}/claims", above=4000),
    )


KEY = new_key("one")


def vaults(
    folder: Path,
    *,
    codecs: bool = True,
    name: str = "parcels",
    retention: timedelta | None = None,
) -> Vaults:
    """Make new workflows, because a codec may hold what a test changes."""
    keys = KeysInMemory()
    of_parcels = codecs_in(folder, keys) if codecs else ()
    of_labels = Encryption([new_key("labels")]) if codecs else ()
    kept = Retention(completed=retention)
    parcels = Workflow(name, Parcel, At, codec=of_parcels, retention=kept)
    labels = Workflow(f"{name}-labels", Label, Stage, codec=of_labels)

    @labels.step(Stage.OPEN)
    async def close(run: LabelRun) -> Literal[Stage.CLOSED]:
        assert run.data.text == SECRET
        return Stage.CLOSED

    @parcels.step(At.NEW, retry=Retry(attempts=2, backoff=0.0))
    async def check(run: ParcelRun) -> Literal[At.CHECKED]:
        assert run.data.content
        printed = await run.once("print", print_label, SECRET)
        assert printed == f"label of {SECRET}"
        run.start(labels, f"{run.foreign_id}-label", Label())
        if run.attempt == 0:
            raise ValueError(f"the first attempt fails for {SECRET}")
        return At.CHECKED

    @parcels.child(At.CHECKED, labels)
    async def labelled(run: ParcelRun, label: LabelRun) -> Literal[At.DELIVERED]:
        assert label.data.text == SECRET
        return At.DELIVERED

    @parcels.callback(At.DELIVERED)
    async def paid(run: ParcelRun, message: str) -> Literal[At.STORED]:
        if message == f"refuse {SECRET}":
            raise Fatal(f"it was refused for {SECRET}")
        assert message.startswith(SECRET)
        run.data.note = f"{message} {'x' * 3000}"
        return At.STORED

    @parcels.connector("arrivals", MemorySource("vaults"))
    async def arrive(client: Client[Parcel, At], event: ConnectorEvent) -> None:
        if event.data != b"good":
            raise Fatal(f"it can't be read: {event.data.decode()}")
        await client.trigger(event.key, Parcel())

    _scrub(parcels)
    made = Vaults(parcels, labels, keys, folder / "claims", paid)

    @parcels.on_complete
    async def completed(run: ParcelRun) -> None:
        made.seen.append(run.data.content)

    return made


def _scrub(parcels: Workflow[Parcel, At]) -> None:
    @parcels.scrub
    async def scrub(run: ParcelRun) -> Parcel:
        assert run.data.content != "removed"
        return Parcel(content="removed", note="y" * 6000)
