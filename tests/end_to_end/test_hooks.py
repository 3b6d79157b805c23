"""Hooks are called for each change of a run, whatever becomes of the process that calls them."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.end_to_end import tickets
from tests.end_to_end.histories import check_history
from tests.end_to_end.tickets import Call, Note, Ticket, TicketStatus
from tests.end_to_end.workers import WorkerProcess, until, workers
from workflow_ray import Client, Handle, RunState, connect

LEASE = 2.0
PATIENCE = timedelta(seconds=60)
RUNS = 6
HOOKS = {
    RunState.PAUSED: ("alarm", "report"),
    RunState.CANCELLED: ("regret",),
    RunState.COMPLETED: ("thank",),
}
"""The hooks that are called when a run changes to a run state."""
pytestmark = pytest.mark.timeout(180)


@dataclass
class Desk:
    """A worker whose hooks note their calls, and runs that only a caller moves."""

    worker: WorkerProcess
    journal: Path
    client: Client[Ticket, TicketStatus]
    handles: list[Handle[Ticket, TicketStatus]]

    async def pause(self, reason: str) -> None:
        for handle in self.handles:
            await handle.pause(reason)

    async def resume(self) -> None:
        for handle in self.handles:
            await handle.resume()

    async def check(self) -> None:
        for handle in self.handles:
            await handle.callback(tickets.check, Note(text="checked"), timeout=PATIENCE)

    async def close(self) -> None:
        for handle in self.handles:
            await handle.callback(tickets.close, Note(text="closed"), timeout=PATIENCE)

    async def kill_in(self, hook: str) -> None:
        """Kill the worker in the middle of a hook."""
        assert self.worker.process is not None
        pid = self.worker.process.pid
        await until(lambda: self.under_way(hook, pid))
        await self.worker.kill()
        assert self.under_way(hook, pid)

    def under_way(self, hook: str, pid: int) -> Counter[Call]:
        """The calls of a hook that have begun in a process, and have not ended."""
        begun, failed, done = (self.calls(what, hook, pid) for what in ("begun", "failed", "done"))
        return begun - failed - done

    def calls(self, what: str, hook: str | None = None, pid: int | None = None) -> Counter[Call]:
        """What was noted, and how often."""
        return Counter(
            line.call
            for line in tickets.read_journal(self.journal)
            if line.what == what and hook in (None, line.call.hook) and pid in (None, line.pid)
        )

    async def called(self) -> Counter[Call]:
        """Wait until each hook was called for each change of the runs, which have ended.

        It got the run as it was then, in every call. Returns the calls that were done.
        """
        wanted = {call for each in self.handles for call in await calls_of(self.client, each)}
        await until(lambda: wanted <= self.calls("done").keys())
        assert self.calls("begun").keys() == wanted
        assert [letter async for letter in self.client.dead_letters()] == []
        return self.calls("done")


async def calls_of(
    client: Client[Ticket, TicketStatus], handle: Handle[Ticket, TicketStatus]
) -> list[Call]:
    """The calls that a run should have, by its history."""
    run = await handle.get()
    await check_history(tickets.tickets, client, run)
    calls: list[Call] = []
    before, notes = RunState.RUNNING, tuple[str, ...]()
    for entry in await handle.history():
        notes = notes if entry.data is None else tuple(entry.data.notes)
        state = entry.run_state
        then = (run.foreign_id, entry.version, state.name, entry.status.name, notes, entry.reason)
        calls += [Call(hook, *then) for hook in HOOKS.get(state, ()) if state is not before]
        before = state
    return calls


def changes(calls: Counter[Call], foreign_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """What the hooks were told of a run."""
    told = {
        call.version: (call.run_state, call.status, call.notes)
        for call in calls
        if call.foreign_id == foreign_id
    }
    return [told[version] for version in sorted(told)]


@asynccontextmanager
async def desk(folder: Path) -> AsyncGenerator[Desk]:
    """Start a worker on SQLite, and some runs."""
    url, journal = f"sqlite:///{folder}/tickets.db", folder / "journal"
    async with (
        workers(1, journal, LEASE, url, module="tests.end_to_end.tickets") as (worker,),
        connect(tickets.tickets, records=url) as client,
    ):
        handles = [await client.trigger(f"ticket-{number}", Ticket()) for number in range(RUNS)]
        yield Desk(worker, journal, client, handles)


async def test_hooks_whose_process_is_killed_in_the_middle_are_called_for_each_change_of_a_run(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as some:
        await some.pause("before the check")
        await some.kill_in("alarm")
        await some.worker.start()
        await some.resume()
        await some.check()
        await some.pause("after the check")
        await some.resume()

        await some.handles[0].cancel("not needed")
        await some.kill_in("regret")
        await some.worker.start()

        closed = some.handles.pop()
        await closed.callback(tickets.close, Note(text="closed"), timeout=PATIENCE)
        await some.kill_in("thank")
        await some.worker.start()
        for handle in some.handles:
            await handle.cancel("not needed")
        some.handles.append(closed)
        calls = await some.called()

    paused = [("PAUSED", "OPEN", ()), ("PAUSED", "CHECKED", ("checked",))]
    last = f"ticket-{RUNS - 1}"
    assert changes(calls, last) == [*paused, ("COMPLETED", "CLOSED", ("checked", "closed"))]
    for number in range(RUNS - 1):
        told = changes(calls, f"ticket-{number}")
        assert told == [*paused, ("CANCELLED", "CHECKED", ("checked",))]


async def test_a_hook_that_fails_holds_up_no_run_and_is_called_until_it_succeeds(
    tmp_path: Path,
) -> None:
    tickets.outage(tmp_path / "journal").touch()
    async with desk(tmp_path) as some:
        await some.pause("a question")
        await some.resume()
        await some.check()
        await some.close()  # each call waits until the run has gone on
        await until(lambda: len(some.calls("done", "alarm")) == RUNS)
        await until(lambda: len(some.calls("done", "thank")) == RUNS)
        await until(lambda: has_failed(some, times=3))
        await some.kill_in("report")
        await some.worker.start()
        await until(lambda: has_failed(some, times=6))
        assert not some.calls("done", "report")

        tickets.outage(some.journal).unlink()
        calls = await some.called()
        assert set(some.calls("done", "alarm").values()) == {1}  # it is not called with `report`

    for number in range(RUNS):
        told = changes(calls, f"ticket-{number}")
        assert told == [("PAUSED", "OPEN", ()), ("COMPLETED", "CLOSED", ("checked", "closed"))]


def has_failed(some: Desk, times: int) -> bool:
    """Whether the report of each run has failed this often."""
    failed = some.calls("failed", "report")
    return len(failed) == RUNS and min(failed.values()) >= times
