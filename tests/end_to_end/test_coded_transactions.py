"""Codecs in transactions of the application: triggers with `within`, and transactional steps."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from workflow_ray import Encryption, Run, Runtime, Status, Workflow, new_key
from workflow_ray.errors import KeyReused

SECRET = "Jane.Doe.5d0c1b7e42"


class At(Status):
    NEW = 1
    BOOKED = 2


class Booking(BaseModel):
    guest: str = SECRET
    room: int = 0


KEY = new_key("one")


def bookings(keys: Path) -> Workflow[Booking, At]:
    codec = Encryption([KEY], run_keys=f"sqlite:///{keys}")
    workflow = Workflow("bookings", Booking, At, codec=codec)

    @workflow.step(At.NEW, transactional=True)
    def book(run: Run[Booking, At], session: Session) -> Literal[At.BOOKED]:
        assert run.data.guest == SECRET
        session.execute(text("INSERT INTO rooms VALUES (7)"))
        run.data.room = 7
        return At.BOOKED

    return workflow


async def test_runs_of_transactions_are_encrypted(tmp_path: Path) -> None:
    folder = tmp_path / "database"
    folder.mkdir()
    url = f"sqlite:///{folder}/bookings.db"
    workflow, engine = bookings(tmp_path / "keys.db"), create_engine(url)
    async with Runtime.local(workflow, records=url) as runtime:
        client = runtime.client(workflow)
        with Session(engine) as session:
            session.execute(text("CREATE TABLE rooms (number INTEGER)"))
            await client.trigger("lost", Booking(), within=session)
            session.rollback()
            session.execute(text("CREATE TABLE IF NOT EXISTS rooms (number INTEGER)"))
            handle = await client.trigger("kept", Booking(), idempotency_key="k", within=session)
            session.commit()
        assert (await handle.wait(timeout=30)).data == Booking(room=7)
        with Session(engine) as session:
            again = await client.trigger("kept", Booking(), idempotency_key="k", within=session)
            assert again.run_id == handle.run_id
            with pytest.raises(KeyReused, match="other data"):
                await client.trigger(
                    "kept", Booking(guest="another"), idempotency_key="k", within=session
                )
        assert [run.foreign_id async for run in client.runs()] == ["kept"]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT number FROM rooms")).scalars().all() == [7]
    engine.dispose()
    files = list(folder.iterdir())
    assert any(b"kept" in path.read_bytes() for path in files)
    assert not any(SECRET.encode() in path.read_bytes() for path in files)
