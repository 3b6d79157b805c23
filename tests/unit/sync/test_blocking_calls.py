"""Threads, forks, event loops and Ctrl-C beside the synchronous client."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.sync.letters import Letter, letters
from workflow_ray import sync
from workflow_ray.errors import RuntimeUnavailable, StoreMissing
from workflow_ray.runtime.engine_thread import EngineThread
from workflow_ray.sync import connect
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray_adapters.sql.transaction import perform

THREADS = 50


@asynccontextmanager
async def nothing() -> AsyncGenerator[None]:
    yield


@pytest.fixture
def calls() -> Any:
    calls = BlockingCalls()
    calls.open(nothing())
    yield calls
    calls.close()


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Waits:
    """Something that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def begin(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "client" in thread.name]


# --- many threads ---------------------------------------------------------------------------------


def test_threads_that_trigger_at_once_share_transactions(
    records: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = list[object]()

    def counted(session: Any, work: Any) -> Any:
        commits.append(work)
        return perform(session, work)

    monkeypatch.setattr("workflow_ray_adapters.sql.writer.perform", counted)
    together = threading.Barrier(THREADS)

    def trigger(number: int) -> str:
        together.wait()
        return client.trigger(str(number), Letter()).run_id

    with connect(letters, records=records) as client, ThreadPoolExecutor(THREADS) as pool:
        started = list(pool.map(trigger, range(THREADS)))
        assert len(commits) < THREADS / 2
        assert {run.run_id for run in client.runs()} == set(started)
        assert len(set(started)) == THREADS


# --- the end --------------------------------------------------------------------------------------


def test_after_the_end_calls_are_refused_and_the_thread_is_gone(records: str) -> None:
    with connect(letters, records=records) as client:
        handle = client.trigger("1", Letter())
        assert len(threads()) == 1
    assert threads() == []
    for call in (handle.get, client.counts, lambda: list(client.runs())):
        with pytest.raises(RuntimeUnavailable, match="its connection was closed"):
            call()
    client.close()


def test_a_wait_ends_when_another_thread_closes_the_client(records: str) -> None:
    client = connect(letters, records=records)
    followed = client.trigger("1", Letter()).follow()
    assert next(followed).version == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, followed)
        client.close()
        with pytest.raises(RuntimeUnavailable, match="closed before this call or during it"):
            waiting.result(20)


def test_a_call_under_way_ends_when_another_thread_closes_the_client(calls: BlockingCalls) -> None:
    waits = Waits()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: calls.result(waits.begin()))
        assert waits.begun.wait(20)
        calls.close()
        with pytest.raises(RuntimeUnavailable, match="closed before this call or during it"):
            waiting.result(20)
    assert waits.cancelled.wait(20)


def test_a_client_that_can_not_connect_leaves_no_thread(tmp_path: Any) -> None:
    with pytest.raises(StoreMissing):
        connect(letters, records=f"sqlite:///{tmp_path}/missing.db")
    assert threads() == []


def test_a_program_that_closes_nothing_ends_without_a_word(records: str) -> None:
    program = (
        "import sys\n"
        "from tests.unit.sync.letters import Letter, letters\n"
        "from workflow_ray.sync import connect\n"
        "client = connect(letters, records=sys.argv[1])\n"
        "print(client.trigger('1', Letter()).get().foreign_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, records],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


# --- event loops, Ctrl-C, forks -------------------------------------------------------------------


async def test_inside_of_an_event_loop_calls_are_refused(calls: BlockingCalls) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"use a client of `workflow_ray\.connect`"):
        list(calls.iterate(numbers(3)))
    with pytest.raises(RuntimeUnavailable, match="would block the event loop"):
        connect(letters, records="memory://nowhere")


def test_ctrl_c_cancels_the_call_and_the_client_goes_on(calls: BlockingCalls) -> None:
    waits = Waits()

    def interrupt() -> None:
        waits.begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        calls.result(waits.begin())
    thread.join()
    assert waits.cancelled.wait(20)
    assert list(calls.iterate(numbers(3))) == [0, 1, 2]


def test_ctrl_c_just_before_the_call_is_waited_for_cancels_it_too(
    calls: BlockingCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, submit = Waits(), EngineThread.submit

    def interrupted(thread: EngineThread, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        submit(thread, work)
        waits.begun.wait()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EngineThread, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            calls.result(waits.begin())
    assert waits.cancelled.wait(20)
    calls.close()
    assert threads() == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_is_told_to_connect_and_the_parent_goes_on(records: str) -> None:
    with connect(letters, records=records) as client:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                with client:
                    client.counts()
            except RuntimeUnavailable as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        said = os.read(reading, 10_000).decode()
        os.close(reading)
        os.close(writing)
        assert f"process {os.getpid()} connected it, and this process, {child}, was forked" in said
        assert "call `workflow_ray.sync.connect` in this process" in said
        assert client.counts() == {}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_connects_again(records: str) -> None:
    with connect(letters, records=records) as client:
        client.counts()
        if (child := os.fork()) == 0:
            code = 1
            try:
                with sync.connect(letters, records=records) as own:
                    own.trigger("of the child", Letter())
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.latest("of the child").version == 1


# --- iterations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_an_iteration_has_each_item_once_in_order(calls: BlockingCalls, count: int) -> None:
    assert list(calls.iterate(numbers(count))) == list(range(count))


def test_items_come_as_soon_as_they_are_there(calls: BlockingCalls) -> None:
    asked = threading.Event()

    async def slowly() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.to_thread(asked.wait)
        yield 3

    items = calls.iterate(slowly())
    assert [next(items), next(items)] == [1, 2]
    asked.set()
    assert list(items) == [3]


def test_an_error_comes_after_the_items_before_it(calls: BlockingCalls) -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise ValueError("no more")

    items = calls.iterate(failing())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_an_iterator_that_its_reader_leaves_is_closed(calls: BlockingCalls) -> None:
    closed = threading.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = calls.iterate(endless())
    assert next(items) == 1
    del items
    assert closed.wait(20)


def test_an_iterator_whose_reader_is_elsewhere_ends_with_the_client_without_a_word() -> None:
    reported = list[dict[str, Any]]()
    closing = asyncio.Event()

    @asynccontextmanager
    async def connection() -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        yield
        closing.set()
        await asyncio.sleep(0.01)  # the iterator's error comes meanwhile

    async def one_and_a_wait() -> AsyncIterator[int]:
        yield 1
        await closing.wait()
        raise RuntimeUnavailable("the client", "it was closed")

    calls = BlockingCalls()
    calls.open(connection())
    items = calls.iterate(one_and_a_wait())
    assert next(items) == 1
    calls.close()
    del items
    gc.collect()
    assert reported == []
