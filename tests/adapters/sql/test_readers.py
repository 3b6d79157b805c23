"""What is known of readers may save a read, and never hides an event."""

import asyncio

import pytest

from workflow_ray.ports import SystemClock
from workflow_ray.records import Arrivals, RunId, Topic, Version
from workflow_ray_adapters.sql.arrivals import Receive
from workflow_ray_adapters.sql.readers import Reader, Readers
from workflow_ray_adapters.sql.waiters import KnownVersions

TOPIC = Topic("orders-1")
OFFSETS = {0: 5, 1: 7}
NOTHING = Arrivals(read=OFFSETS)


@pytest.fixture
def readers() -> Readers:
    return Readers()


def at_end(readers: Readers) -> Reader:
    """Return a reader that has read all there is."""
    reader = readers.reader("consumer", TOPIC)
    reader.begin_look(OFFSETS)
    reader.end_look(Receive(TOPIC, OFFSETS, 10), NOTHING)
    assert reader.is_at_end(OFFSETS)
    return reader


def test_who_has_read_all_there_is_need_not_look_again(readers: Readers) -> None:
    at_end(readers)
    assert readers.reader("consumer", TOPIC).is_at_end(OFFSETS)
    assert not readers.reader("consumer", TOPIC).is_at_end({**OFFSETS, 0: 4})
    assert not readers.reader("another", TOPIC).is_at_end(OFFSETS)


def test_events_that_come_between_two_calls_are_looked_for(readers: Readers) -> None:
    reader = at_end(readers)
    readers.wake({TOPIC: {1}, Topic("other"): {0}})
    assert (reader.is_at_end(OFFSETS), reader.is_at_end({0: 5})) == (False, True)


def test_events_that_come_while_it_looks_are_looked_for(readers: Readers) -> None:
    reader = at_end(readers)
    reader.begin_look(OFFSETS)
    readers.wake({TOPIC: {0}})
    reader.end_look(Receive(TOPIC, OFFSETS, 10), NOTHING)
    assert not reader.is_at_end(OFFSETS)


def test_a_read_that_is_given_up_is_made_again(readers: Readers) -> None:
    reader = at_end(readers)
    readers.wake({TOPIC: {0}})
    reader.begin_look(OFFSETS)  # and then its caller is cancelled
    assert not reader.is_at_end(OFFSETS)


def test_who_does_not_wait_looks_when_anything_may_have_come(readers: Readers) -> None:
    reader = at_end(readers)
    readers.forget()
    assert not reader.is_at_end(OFFSETS)


async def test_what_another_process_published_during_a_transaction_is_looked_for_after_its_answer(
    readers: Readers,
) -> None:
    """At a handover the new publisher's events may come while the old one's last transaction is
    answered.
    """
    reader, receive, clock = at_end(readers), Receive(TOPIC, OFFSETS, 10), SystemClock()
    waiting = asyncio.create_task(reader.wait(receive, clock, 60))
    await asyncio.sleep(0)
    readers.wake({TOPIC: {1}})  # the other process's, noticed before the transaction's answer
    readers.published({TOPIC: {0}}, [(receive, Arrivals(read={0: 6, 1: 7}))])
    assert await asyncio.wait_for(waiting, 1) is None
    assert not reader.is_at_end({0: 6, 1: 7})


async def test_a_transaction_answers_who_waits_and_spares_it_a_read(readers: Readers) -> None:
    reader, receive = at_end(readers), Receive(TOPIC, OFFSETS, 10)
    answer = Arrivals(read={0: 6, 1: 7})
    waiting = asyncio.create_task(reader.wait(receive, SystemClock(), 60))
    await asyncio.sleep(0)
    readers.published({TOPIC: {0}}, [(receive, answer)])
    assert await asyncio.wait_for(waiting, 1) == answer
    assert reader.is_at_end({0: 6, 1: 7})
    again = asyncio.create_task(reader.wait(Receive(TOPIC, {0: 6, 1: 7}, 10), SystemClock(), 60))
    await asyncio.sleep(0)
    assert not again.done()  # what woke it before doesn't wake it again
    again.cancel()


def test_a_notification_that_overtakes_an_earlier_commit_is_not_taken_back() -> None:
    versions, run_id = KnownVersions(), RunId("r")
    versions.note([(run_id, Version(3))])  # another process's
    versions.note([(run_id, Version(2))])  # this one's, answered later
    assert not versions.is_newest({run_id: Version(2)})
    assert versions.is_newest({run_id: Version(3)})
