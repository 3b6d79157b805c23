"""Calls from one event loop to objects that belong to another."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from workflow_ray.errors import RuntimeUnavailable, StoreFull
from workflow_ray.ports import OutboxMover, SystemClock, Trimmer
from workflow_ray.records import MessageQuery, RunId
from workflow_ray.runtime import bridge as bridge_module
from workflow_ray.runtime.bridge import Bridge, bridged
from workflow_ray.runtime.engine_thread import EngineThread
from workflow_ray_adapters.memory import MemoryStore


@pytest.fixture
async def thread() -> AsyncIterator[EngineThread]:
    thread = EngineThread()
    thread.start()
    yield thread
    await thread.stop()


async def where() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_a_call_runs_in_the_home_loop_and_brings_its_result_back(
    thread: EngineThread,
) -> None:
    bridge = Bridge(thread.loop)
    assert await bridge.call(where) is thread.loop
    assert await thread.call(bridge.call(where)) is thread.loop  # also called from there


async def test_an_error_is_raised_at_the_caller(thread: EngineThread) -> None:
    async def fail(what: str, *, why: str) -> None:
        raise StoreFull(what, why)

    bridge = Bridge(thread.loop)
    with pytest.raises(StoreFull, match="no room"):
        await bridge.call(fail, "the store", why="no room")


async def test_a_long_poll_begins_with_the_next_call_or_soon_by_itself(
    thread: EngineThread,
) -> None:
    bridge, begun = Bridge(thread.loop), list[str]()

    async def begin(name: str) -> None:
        begun.append(name)

    polling = asyncio.create_task(bridge.poll(begin, "poll"))
    await asyncio.sleep(0)
    await bridge.call(begin, "call")
    assert begun == ["poll", "call"]
    await polling
    await bridge.poll(begin, "alone")
    assert begun == ["poll", "call", "alone"]


def count_wake_ups(
    loop: asyncio.AbstractEventLoop,
    woken: list[asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = loop.call_soon_threadsafe

    def counted(*arguments: Any) -> asyncio.Handle:
        woken.append(loop)
        return original(*arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)


async def test_calls_that_gather_while_a_loop_is_busy_share_one_wake_up(
    thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, woken = Bridge(thread.loop), list[asyncio.AbstractEventLoop]()
    here, busy, gate = asyncio.get_running_loop(), threading.Event(), asyncio.Event()
    thread.loop.call_soon_threadsafe(busy.wait)
    for loop in (here, thread.loop):
        count_wake_ups(loop, woken, monkeypatch)
    calls = [asyncio.create_task(bridge.call(gate.wait)) for _ in range(100)]
    await asyncio.sleep(0)
    assert woken == [thread.loop]
    busy.set()
    await bridge.call(where)
    woken.clear()

    async def answer_all() -> None:
        gate.set()
        for _ in range(3):
            await asyncio.sleep(0)

    # This loop is busy until all are answered
    asyncio.run_coroutine_threadsafe(answer_all(), thread.loop).result()
    assert woken.count(here) == 1
    assert await asyncio.gather(*calls) == [True] * 100


async def test_a_cancelled_call_is_cancelled_in_the_home_loop_too(thread: EngineThread) -> None:
    bridge, begun, cancelled = Bridge(thread.loop), threading.Event(), threading.Event()

    async def long() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    call = asyncio.create_task(bridge.call(long))
    await asyncio.to_thread(begun.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(cancelled.wait, 5)


async def test_callers_in_several_loops_get_their_own_answers(thread: EngineThread) -> None:
    bridge = Bridge(thread.loop)

    async def double(number: int) -> int:
        return 2 * number

    def elsewhere(first: int) -> list[int]:
        async def several() -> list[int]:
            return await asyncio.gather(
                *(bridge.call(double, number) for number in range(first, first + 50))
            )

        return asyncio.run(several())

    answers = await asyncio.gather(
        *(asyncio.to_thread(elsewhere, first) for first in (0, 1000, 2000))
    )
    assert answers == [
        [2 * number for number in range(first, first + 50)] for first in (0, 1000, 2000)
    ]


async def test_calls_that_wait_when_the_home_loop_ends_say_so_and_later_ones_too() -> None:
    thread = EngineThread()
    thread.start()
    bridge, begun = Bridge(thread.loop), threading.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    waiting = asyncio.create_task(bridge.call(wait))
    await asyncio.to_thread(begun.wait)
    await thread.stop()
    with pytest.raises(RuntimeUnavailable, match="it was left before this call or during it"):
        await waiting
    with pytest.raises(RuntimeUnavailable, match="it was left before this call or during it"):
        await bridge.call(where)


async def test_a_call_that_the_home_loop_did_not_begin_is_answered_when_the_bridge_is_closed() -> (
    None
):
    home = asyncio.new_event_loop()  # never runs
    bridge = Bridge(home)
    waiting = asyncio.create_task(bridge.call(where))
    await asyncio.sleep(0)
    home.close()
    bridge.close()
    with pytest.raises(RuntimeUnavailable, match="it was left before this call or during it"):
        await waiting


async def test_a_call_that_is_cancelled_after_the_home_loop_has_ended_is_just_cancelled() -> None:
    home = asyncio.new_event_loop()
    waiting = asyncio.create_task(Bridge(home).call(asyncio.Event().wait))
    await asyncio.sleep(0)
    await asyncio.to_thread(home.run_until_complete, asyncio.sleep(0.01))  # the call begins there
    home.close()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_store_of_another_loop_is_what_it_is_there(thread: EngineThread) -> None:
    store = MemoryStore(SystemClock())
    apart = bridged(store, Bridge(thread.loop))
    assert (apart.store_id, apart.stream_id) == (store.store_id, store.stream_id)
    assert isinstance(apart, OutboxMover)
    assert isinstance(apart, Trimmer)
    assert (await apart.deployment()).store_id == store.store_id


async def test_a_read_of_a_store_that_need_not_wait_begins_at_once(
    thread: EngineThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "PATIENCE", 3600.0)
    apart = bridged(MemoryStore(SystemClock()), Bridge(thread.loop))
    async with asyncio.timeout(60):
        assert await apart.messages(MessageQuery(run_ids=(RunId("r"),))) == []


async def test_a_long_poll_at_home_is_interrupted_by_close_and_cancelled_by_its_caller() -> None:
    bridge, begun = Bridge(asyncio.get_running_loop()), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def interrupted() -> int:
        with pytest.raises(RuntimeUnavailable):
            await bridge.poll(wait)
        task = asyncio.current_task()
        await asyncio.sleep(0)  # it is not cancelled
        return task.cancelling() if task else 1

    cancelled, closed = asyncio.create_task(bridge.poll(wait)), asyncio.create_task(interrupted())
    both = asyncio.create_task(bridge.poll(wait))
    await begun.wait()
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    both.cancel()
    bridge.close()  # in the same turn: the caller's cancellation holds
    with pytest.raises(asyncio.CancelledError):
        await both
    assert await closed == 0
    with pytest.raises(RuntimeUnavailable):
        await bridge.poll(wait)
