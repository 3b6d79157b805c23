"""Dead letters as the command line shows them."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.unit.cli.sealed import sealed as workflow
from workflow_ray.cli.app import app
from workflow_ray.cli.dead_letters import view_of
from workflow_ray.client import DeadLetter
from workflow_ray.coding import coded
from workflow_ray.errors import EncodedData
from workflow_ray.ports import SystemClock
from workflow_ray.records import (
    ConnectorEvent,
    NewSetAside,
    SetAsideEvent,
    SetAsideKey,
    WriteGroup,
    connector_group,
)
from workflow_ray.records.encoded import Envelope, as_text, sealed
from workflow_ray.runtime.deploying import describe, merge
from workflow_ray_adapters.sql import SqliteAdapter

AT = datetime(2026, 11, 27, tzinfo=UTC)
GROUP = connector_group("sealed", "carts")
EVENT = ConnectorEvent(
    id="carts-0-17", key="ann", data=b"total: 5, " * 100, partition=0, offset=17, at=AT
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a dead letter of a connector, which the codec of its workflow has encoded."""
    url = f"sqlite:///{tmp_path}/runs.db"
    asyncio.run(_give_up(url))
    return url


async def _give_up(url: str) -> None:
    clock = SystemClock()
    SqliteAdapter().create(url)
    async with SqliteAdapter().open_records(url, clock=clock, exclusive=False) as store:
        described = describe(workflow)
        groups = {**described.groups, GROUP: 1}
        await merge(store, [msgspec.structs.replace(described, groups=groups)])
        letter = NewSetAside(
            key=SetAsideKey(GROUP, 0, 17, "carts"),
            event_id=EVENT.id,
            event=msgspec.json.encode(SetAsideEvent(connector=EVENT)),
            attempt=3,
            error="ValueError: no total",
        )
        await coded(store, workflow).store([WriteGroup(set_aside=(letter,))])


def invoke(url: str, *arguments: str) -> str:
    """Run a command of dead letters, and return what it prints. Raises what it raises."""
    command = ["dead-letters", *arguments, "--records", url]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_encoded_dead_letter_is_shown_with_decode(url: str) -> None:
    with pytest.raises(EncodedData, match="an event set aside of 'sealed' can't be read"):
        invoke(url, "show", "sealed", "carts/carts-0-17", "--json")
    shown = json.loads(invoke(url, "show", "sealed", "carts/carts-0-17", "--json", "--decode"))
    assert (shown["data"], shown["error"]) == (EVENT.data.decode(), "ValueError: no total")


def test_an_encoded_dead_letter_is_replayed_with_decode_and_stays_encoded(url: str) -> None:
    with pytest.raises(EncodedData):
        invoke(url, "replay", "sealed", "carts/carts-0-17")
    printed = invoke(url, "replay", "sealed", "carts/carts-0-17", "--decode")
    assert printed == "sealed: 1 dead letter replayed.\n"
    assert json.loads(invoke(url, "list", "sealed", "--json")) == []
    files = Path(url.removeprefix("sqlite:///")).parent.iterdir()
    assert not [file for file in files if b"total: 5, total: 5" in file.read_bytes()]


def test_an_encoded_error_says_that_it_is_encoded() -> None:
    error = as_text(sealed(Envelope("aes-gcm", 9, b"secret")))
    letter = DeadLetter(
        id="hooks/1",
        origin="hooks",
        event_id="1",
        attempts=3,
        error=error,
        set_aside_at=AT,
        given_up_at=AT,
    )
    assert view_of(letter).error.startswith("(it is encoded by 'aes-gcm'")
