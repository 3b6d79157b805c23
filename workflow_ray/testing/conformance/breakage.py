"""Cases of a RecordStore whose connection breaks after any message of a transaction.

In some cases the transaction stays open instead.
"""

import asyncio

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Records, SystemClock, persist
from workflow_ray.records import (
    Committed,
    Fence,
    Fenced,
    GroupResult,
    KeyUsed,
    Position,
    RunId,
    Stored,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.base import GRACE, Capability, Conformance, Fragile, result_of
from workflow_ray.testing.conformance.faults import cuts, holds
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    PAID,
    acquire,
    check_one_won,
    event,
    events_of,
    group,
    new_run,
    step,
    store_all,
    stored,
    versions,
)

PARTS = 6
"""The parts of a transition that are stored together or not at all."""


class BreakageCases(Conformance):
    """A transition is stored whole and once, whatever breaks."""

    async def test_a_transition_cut_after_any_message_is_stored_whole_or_not_at_all(
        self, store: Records, fragile: Fragile
    ) -> None:
        publisher, complete = await acquire(store), list[bool]()
        async for number, cut in cuts(fragile):
            transition = await new_transition(store, await acquire(store, CONSUMERS), number)
            with cut:
                await fragile.store.store([transition])
            # This waits for the transaction that may still lock the fence. After it nothing of the
            # transaction can be stored.
            await acquire(store, CONSUMERS)
            parts = await parts_stored(store, transition, publisher)
            assert parts == [parts[0]] * PARTS
            complete.append(parts[0])
        assert (complete[0], complete[-1]) == (False, True)

    async def test_a_transition_repeated_after_a_cut_is_stored_once(
        self, store: Records, fragile: Fragile
    ) -> None:
        publisher, fence = await acquire(store), await acquire(store, CONSUMERS)
        async for number, cut in cuts(fragile):
            transition = await new_transition(store, fence, number)
            moved, begun = transition.writes
            with cut:
                await fragile.store.store([transition])
            fragile.heal()
            for _ in range(2):
                answer = await answered(fragile.store, transition)
                assert answer == Committed(
                    (Stored(moved.run_id, Version(2)), Stored(begun.run_id, Version(1)))
                )
            assert await parts_stored(store, transition, publisher) == [True] * PARTS

    async def test_a_transition_repeated_while_the_first_is_open_is_stored_once(
        self, store: Records, fragile: Fragile
    ) -> None:
        publisher, fence = await acquire(store), await acquire(store, CONSUMERS)
        async for number, hold in holds(fragile):
            transition = await new_transition(store, fence, number)
            moved, begun = transition.writes
            async with hold(fragile.store.store([transition])) as storing:
                repeating = asyncio.create_task(answered(store, transition))
                # It goes first, or waits for the open transaction.
                await asyncio.wait({repeating}, timeout=GRACE)
            for answer in (*await result_of(storing), await result_of(repeating)):
                assert answer == Committed(
                    (Stored(moved.run_id, Version(2)), Stored(begun.run_id, Version(1)))
                )
            assert await parts_stored(store, transition, publisher) == [True] * PARTS

    async def test_a_trigger_overtaken_while_its_transaction_is_open_learns_that_its_key_is_used(
        self, store: Records, fragile: Fragile
    ) -> None:
        async for number, hold in holds(fragile):
            slow, quick = (new_run(f"order-{number}", key=f"key-{number}") for _ in range(2))
            async with hold(store_all(fragile.store, slow)) as storing:
                overtaking = asyncio.create_task(store_all(store, quick))
                # It goes first, or waits for the open transaction.
                await asyncio.wait({overtaking}, timeout=GRACE)
            answers = [*await result_of(storing), *await result_of(overtaking)]
            check_one_won(answers, others=KeyUsed)

    async def test_a_store_that_was_cut_off_works_again_once_it_is_healed(
        self, store: Records, fragile: Fragile
    ) -> None:
        run = new_run()
        await store_all(fragile.store, run)
        fragile.cut_after(0)
        with pytest.raises(StoreUnavailable):
            await store_all(fragile.store, step(run))
        fragile.heal()
        assert await answered(fragile.store, group(step(run))) == Committed(
            (Stored(run.run_id, Version(2)),)
        )
        assert await stored(fragile.store, run.run_id) == await stored(store, run.run_id)

    async def test_an_epoch_raised_while_a_transaction_is_open_fences_later_commits(
        self, store: Records, fragile: Fragile
    ) -> None:
        publisher = await acquire(store)
        async for number, hold in holds(fragile):
            old = await acquire(store, CONSUMERS)
            transition = await new_transition(store, old, number)
            async with hold(fragile.store.store([transition])) as storing:
                taking = asyncio.create_task(acquire(store, CONSUMERS))
                # It goes first, or waits for the open transaction.
                await asyncio.wait({taking}, timeout=GRACE)
                before = await parts_stored(store, transition, publisher) if taking.done() else None
            (answer,), new = await result_of(storing), await result_of(taking)
            after = await parts_stored(store, transition, publisher)
            assert answer == Fenced(old.role, new.epoch) or isinstance(answer, Committed)
            assert after == [isinstance(answer, Committed)] * PARTS
            assert before in (
                None,
                after,
            ), "a write of the old epoch was stored after the new one began"
            assert await fragile.store.store([group(fence=old)]) == [Fenced(old.role, new.epoch)]

    async def test_an_event_that_commits_late_is_pending_after_later_ones_were_published(
        self, store: Records, fragile: Fragile
    ) -> None:
        fence = await acquire(store)
        async for _, hold in holds(fragile):
            late, prompt = new_run(events=[event()]), new_run(events=[event()])
            async with hold(store_all(fragile.store, late)) as storing:
                publishing = asyncio.create_task(_stored_and_published(store, fence, prompt))
                await asyncio.wait({publishing}, timeout=GRACE)  # as above
            await result_of(storing)
            published = [*await result_of(publishing), *await _published(store, fence)]
            assert sorted(published) == sorted([prompt.run_id, late.run_id])

    def test_no_crash_and_no_failover_loses_an_answered_write_by_declaration(self) -> None:
        """No test can cut the power.

        An adapter that can't promise it says in `lacks` what may be lost, and when.
        """
        self.need(Capability.DURABILITY)


async def new_transition(store: Records, fence: Fence, number: int) -> WriteGroup:
    """Make a transition of one run and a trigger of another, with an event each and a position."""
    run, begun = new_run(), new_run(events=[event()])
    await store_all(store, run)
    return group(
        step(run, status=PAID, events=[event(1)]),
        begun,
        fence=fence,
        positions=[Position(CONSUMERS, 0, number + 1)],
    )


async def parts_stored(store: Records, transition: WriteGroup, publisher: Fence) -> list[bool]:
    """Say for each part of the transition whether it is stored.

    The parts are the history of the moved run, the record and the history of the new one, the event
    of each, and the position.
    """
    moved, begun = transition.writes
    pending = [
        item.run_id for item in events_of(await store.pending(publisher, limit=10_000, wait=0))
    ]
    (record,) = await store.lookup([begun.run_id], fresh=True)
    assert pending.count(moved.run_id) <= 1
    assert pending.count(begun.run_id) <= 1
    return [
        await versions(store, moved.run_id) == [1, 2],
        record is not None,
        await versions(store, begun.run_id) == [1],
        moved.run_id in pending,
        begun.run_id in pending,
        transition.positions[0] in await store.positions(CONSUMERS),
    ]


async def answered(store: Records, transition: WriteGroup) -> GroupResult:
    """Return the answer of a store that may have to connect again first."""
    (answer,) = await persist(
        lambda: store.store([transition]), SystemClock(), "conformance", patience=5
    )
    return answer


async def _stored_and_published(store: Records, fence: Fence, run: Write) -> list[RunId]:
    await store_all(store, run)
    return await _published(store, fence)


async def _published(store: Records, fence: Fence) -> list[RunId]:
    """Publish the events in the outbox, and return their runs."""
    entries = await store.pending(fence, limit=10, wait=0)
    await store.published(fence, [entry.id for entry in entries])
    return [item.run_id for item in events_of(entries)]
