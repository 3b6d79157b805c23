"""The connection beside those that work: it hears of other processes' commits, and holds the lock of who serves the store."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from workflow_ray.errors import StoreError, StoreInUse
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.postgresql.faults import explained
from workflow_ray_adapters.sql.server.database import CONNECTING

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks whether the connection still works, and whether anything was written at all."""
PAUSE = 0.02
"""Seconds between tries for the lock."""
PATIENCE = 5.0
"""Seconds for a look, before the connection counts as broken."""
LARGEST = 7_900
"""Bytes: PostgreSQL passes on no more than 8,000."""
LOCK = (func.hashtext("workflow_ray is served"), func.hashtext(func.current_schema()))


class Word(msgspec.Struct, omit_defaults=True):
    """What a commit tells: whose it is, and its news. None: they are too many to tell."""

    by: str
    news: Notification | None = None


class Watch:
    """Made anew whenever it breaks: then anything may have changed meanwhile."""

    def __init__(self, engine: AsyncEngine, where: str, channel: str, *, exclusive: bool) -> None:
        self._engine, self._where, self._exclusive = engine, where, exclusive
        self.channel = channel
        self._me = uuid4().hex
        self._words: list[Notification | None] = []
        self._heard = asyncio.Event()
        self._leaving = asyncio.Event()

    @asynccontextmanager
    async def kept(self, patience: float) -> AsyncGenerator[None]:
        """Waits up to `patience` seconds for another holder of the lock to leave. Raises StoreInUse."""
        await self._connect(patience)
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self._leaving.set()  # not cancelled: to be cut off in the middle would cost the connection
            try:
                await keeping
            finally:
                await self._unlock()
                await self._leave()

    # --- telling and hearing ---------------------------------------------------------------------

    def telling(self, news: Notification) -> str:
        """What others are to be told, as text."""
        word = msgspec.json.encode(Word(self._me, news))
        return (word if len(word) <= LARGEST else msgspec.json.encode(Word(self._me))).decode()

    async def word(self) -> Notification | None:
        """Wait for others' news, and take all of them. None: anything may have changed."""
        await self._heard.wait()
        self._heard.clear()
        words, self._words = self._words, []
        told = [news for news in words if news is not None]
        merged = Notification()
        for notification in told:
            merged.add(notification)
        return merged if len(told) == len(words) else None

    def _hear(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        try:
            word = msgspec.json.decode(payload, type=Word)
        except msgspec.DecodeError:  # newer code's
            word = Word(by="another")
        if word.by != self._me:
            self._note(word.news)

    def _note(self, news: Notification | None) -> None:
        self._words.append(news)
        self._heard.set()

    # --- the connection --------------------------------------------------------------------------

    async def _connect(self, patience: float) -> None:
        with explained(self._where):
            async with asyncio.timeout(CONNECTING):
                self._connection = await self._engine.connect()
            try:
                driver: Any = (await self._connection.get_raw_connection()).driver_connection
                await driver.add_listener(self.channel, self._hear)
                await self._lock(patience)
            except BaseException:
                await self._leave()
                raise

    async def _lock(self, patience: float) -> None:
        deadline = monotonic() + patience
        while self._exclusive and not await self._ask(func.pg_try_advisory_lock(*LOCK)):
            if monotonic() >= deadline:
                raise StoreInUse(self._where, "another process serves it. Stop that one first, or attach to it.")
            await asyncio.sleep(PAUSE)

    async def _unlock(self) -> None:
        """Free when this returns: the server notices only after a while that a connection is closed."""
        if self._exclusive and not self._connection.closed:
            with suppress(StoreError):  # then the connection is gone, and the lock with it
                await self._ask(func.pg_advisory_unlock(*LOCK))

    async def _leave(self) -> None:
        if self._connection.closed:
            return
        if not self._connection.invalidated:
            driver: Any = (await self._connection.get_raw_connection()).driver_connection
            driver.terminate()  # without a word, for which a server that hangs would let us wait
            await self._connection.invalidate()
        await self._connection.close()

    async def _keep(self) -> None:
        while not self._leaving.is_set():
            try:
                await self._follow()
            except StoreError as error:
                log.warning("%s; until it answers again, what other processes do is noticed late", error)
                await self._leave()
                await self._come_back()

    async def _follow(self) -> None:
        """Until the connection breaks."""
        before = None
        while not self._leaving.is_set():
            written = await self._ask(cast(func.pg_current_wal_insert_lsn(), String))
            if before not in (None, written):
                self._note(None)
            before = written
            await self._pause()

    async def _come_back(self) -> None:
        while not self._leaving.is_set():
            await self._pause()
            try:
                await self._connect(patience=0)
            except StoreError as error:
                log.warning("%s; trying again in %.0f s", error, POLL)
            else:
                self._note(None)
                return

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._leaving.wait()

    async def _ask(self, what: ColumnElement[Any]) -> Any:
        with explained(self._where):
            async with asyncio.timeout(PATIENCE):
                return await self._connection.scalar(select(what))
