"""Calls from event loops of other threads to objects that belong to one event loop."""

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from workflow_ray.errors import RuntimeUnavailable, WorkflowError
from workflow_ray.ports import Records, Store, ports_of
from workflow_ray.ports.methods import methods_of, properties_of

T = TypeVar("T")


PATIENCE = 0.001
"""Seconds for which a long poll waits until another call begins, to begin with it. A poll that
began at once would wake a thread that competes with the caller's for the interpreter, just when the
caller has work to do.
"""


def runtime_left() -> WorkflowError:
    """Make the error of a call on the client of a runtime that has ended."""
    return RuntimeUnavailable(
        "the runtime",
        "it was left before this call or during it; use a client of a runtime that is running, or"
        " of `connect`",
    )


def connection_closed() -> WorkflowError:
    """Make the error of a call on a client of `connect` whose `async with` has ended."""
    return RuntimeUnavailable(
        "the client", "its connection was closed before this call or during it; connect again"
    )


class Mailbox:
    """Hands callbacks of other threads over to an event loop. All callbacks that gather until the
    loop runs them share one wake-up, which is a system call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks = deque[Callable[[], None]]()
        self._is_scheduled = False

    def put(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread run the callback soon, in the order of the calls of `put`. Any
        thread may call this.

        Raises:
            RuntimeError: The loop is closed.
        """
        self._callbacks.append(callback)
        self.wake()

    def put_lazily(self, callback: Callable[[], None]) -> None:
        """As `put`, but with the next wake-up. The caller calls `wake` after a while."""
        self._callbacks.append(callback)

    def wake(self) -> None:
        """Have the loop's thread run the callbacks. Raises RuntimeError: the loop is closed."""
        if self._callbacks and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        # Cleared before the length is read, so that a later callback schedules another call.
        self._is_scheduled = False
        for _ in range(len(self._callbacks)):
            self._callbacks.popleft()()


class Bridge:
    """Calls functions in the event loop `home`, whatever event loop their callers run in.

    Args:
        home: The loop that the called objects belong to.
        ended: Makes the error of a call that is made, or under way, once the bridge is closed.
    """

    def __init__(
        self, home: asyncio.AbstractEventLoop, ended: Callable[[], WorkflowError] = runtime_left
    ) -> None:
        self._home = home
        self._ended = ended
        self._is_closed = False
        self._polls = set[asyncio.Task[Any]]()  # those in the home loop that wait in a long poll
        self._mailbox = Mailbox(home)
        self._callers = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox]()
        self._calls = set["_Call"]()  # under way

    async def call(
        self, function: Callable[..., Coroutine[Any, Any, T]], /, *arguments: Any, **named: Any
    ) -> T:
        """Await the function in the home loop, and return its result.

        If this is cancelled, the function is cancelled too, and its end is not waited for.

        Raises:
            RuntimeUnavailable: The home loop has ended. If it ended during the call, it is not
                known whether the call took effect.
        """
        return await self._called(partial(function, *arguments, **named), self._put)

    async def poll(
        self, function: Callable[..., Coroutine[Any, Any, T]], /, *arguments: Any, **named: Any
    ) -> T:
        """As `call`, for a long poll: it begins with the next call, or after PATIENCE. `close` ends
        it.
        """
        call = partial(function, *arguments, **named)
        if asyncio.get_running_loop() is self._home:
            return await self._polled_at_home(call)
        return await self._called(call, self._put_lazily)

    async def _polled_at_home(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await it in the current task, which `close` interrupts as `asyncio.timeout` does."""
        self._check_open()
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._polls.add(task)
        try:
            return await function()
        except asyncio.CancelledError:
            if self._is_closed and task.uncancel() <= before:
                raise self._ended() from None
            raise
        finally:
            self._polls.discard(task)

    async def _called(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        put: Callable[[Callable[[], None]], None],
    ) -> T:
        self._check_open()
        caller = asyncio.get_running_loop()
        if caller is self._home:
            return await function()
        answer: asyncio.Future[T] = caller.create_future()
        call = _Call(function, answer, self._mailbox_of(caller), self._calls.discard, self._ended)
        self._calls.add(call)
        put(call.begin)
        try:
            return await answer
        except asyncio.CancelledError:
            # If the loop has ended, the call has ended too.
            with contextlib.suppress(RuntimeUnavailable):
                self._put(call.cancel)
            raise

    def close(self) -> None:
        """End the calls under way, and refuse further calls. Called in the home loop, or after its
        end.
        """
        self._is_closed = True
        for call in tuple(self._calls):
            call.answer(None, self._ended())
            with contextlib.suppress(RuntimeError):  # if the home loop is closed
                call.cancel()
        for poll in self._polls:
            poll.cancel()

    def _check_open(self) -> None:
        if self._is_closed:
            raise self._ended()

    def _mailbox_of(self, loop: asyncio.AbstractEventLoop) -> Mailbox:
        mailbox = self._callers.get(loop)
        return mailbox or self._callers.setdefault(loop, Mailbox(loop))

    def _put(self, callback: Callable[[], None]) -> None:
        try:
            self._mailbox.put(callback)
        except RuntimeError:
            raise self._ended() from None

    def _put_lazily(self, callback: Callable[[], None]) -> None:
        self._mailbox.put_lazily(callback)
        asyncio.get_running_loop().call_later(PATIENCE, self._wake)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # if the home loop is closed, `close` answers
            self._mailbox.wake()


def bridged(store: Store, bridge: Bridge) -> Store:
    """Wrap a store that lives in the bridge's home loop, for callers in any event loop.

    The result implements the ports that the store implements.
    """
    return cast(Store, _bridged(store, bridge, ports_of(store)))


def bridged_records(records: Records, bridge: Bridge) -> Records:
    """As `bridged`, for the records alone."""
    return cast(Records, _bridged(records, bridge, [Records]))


def _bridged(store: object, bridge: Bridge, ports: Sequence[type]) -> object:
    properties = {name: getattr(store, name) for name in properties_of(*ports)}
    methods = {
        name: _polling(bridge, function) if method.is_long_poll else partial(bridge.call, function)
        for name, method in methods_of(*ports).items()
        for function in (getattr(store, name),)
    }
    return SimpleNamespace(**properties, **methods)


def _polling(
    bridge: Bridge, function: Callable[..., Coroutine[Any, Any, T]]
) -> Callable[..., Coroutine[Any, Any, T]]:
    """Forward a method that is a long poll only if it is called with a wait."""

    def forward(*arguments: Any, **named: Any) -> Coroutine[Any, Any, T]:
        call = bridge.poll if "wait" in named else bridge.call
        return call(function, *arguments, **named)

    return forward


class _Call:
    """One call under way. Its methods are called in the home loop's thread."""

    def __init__(
        self,
        function: Callable[[], Coroutine[Any, Any, Any]],
        answer: asyncio.Future[Any],
        caller: Mailbox,
        ended: "Callable[[_Call], None]",
        error: Callable[[], WorkflowError],
    ) -> None:
        """error: Makes the error of a call that ends with the home loop."""
        self._function = function
        self._answer = answer
        self._caller = caller
        self._ended = ended
        self._error = error
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._perform())

    def cancel(self) -> None:
        self._is_cancelled = True
        self._ended(self)  # here, because it may be cancelled before its first turn
        if self._task is not None:
            self._task.cancel()

    def answer(self, value: Any, error: BaseException | None) -> None:
        self._ended(self)
        if not self._is_cancelled:
            with contextlib.suppress(RuntimeError):  # if the caller's loop is closed, nobody waits
                self._caller.put(partial(_settle, self._answer, value, error))

    async def _perform(self) -> None:
        # Not by a callback of the task, which would run one turn of the loop later.
        try:
            value = await self._function()
        except asyncio.CancelledError:
            self.answer(None, self._error())
        except Exception as error:
            self.answer(None, error)
        else:
            self.answer(value, None)


def _settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Set the result of a call, in the caller's thread."""
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)
