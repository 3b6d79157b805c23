"""The synchronous client does what the asynchronous one does."""

from datetime import UTC, datetime

import pytest

from tests.unit.sync.letters import Letter, LetterStatus, letters, sent
from workflow_ray import Cause, RunState, Trigger, TriggerOutcome
from workflow_ray.errors import DeadLetterNotFound, RunActive, RunNotFound, RunPaused, WaitTimeout
from workflow_ray.sync import Handle, connect

SOON = 20


def test_a_run_is_triggered_called_back_and_waited_for(running: str) -> None:
    with connect(letters, records=running) as client:
        handle = client.trigger("1", Letter())
        assert handle.outcome is TriggerOutcome.STARTED
        assert handle.wait_for(LetterStatus.STAMPED, timeout=SOON).data == Letter()
        assert handle.callback(sent, "r1", timeout=SOON).status is LetterStatus.SENT
        assert handle.wait(timeout=SOON).data.receipt == "r1"
        assert [entry.cause for entry in handle.history()] == [
            Cause.TRIGGER,
            Cause.STEP,
            Cause.CALLBACK,
        ]
        for run in (
            client.latest("1"),
            client.get(handle.run_id),
            client.handle(handle.run_id).get(),
        ):
            assert (run.run_id, run.version) == (handle.run_id, 3)
        assert client.counts() == {(LetterStatus.SENT, RunState.COMPLETED): 1}


def test_a_run_is_called_back_by_its_foreign_id(running: str) -> None:
    with connect(letters, records=running) as client:
        client.trigger("1", Letter()).wait_for(LetterStatus.STAMPED, timeout=SOON)
        assert client.callback("sent", "1", b'"r2"', timeout=SOON).data.receipt == "r2"


def test_versions_are_followed_as_they_come(running: str) -> None:
    with connect(letters, records=running) as client:
        handle, seen = client.trigger("1", Letter()), list[LetterStatus]()
        for entry in handle.follow():
            seen.append(entry.status)
            if entry.status is LetterStatus.STAMPED:
                handle.callback(sent, "r1")
        assert seen == [LetterStatus.WRITTEN, LetterStatus.STAMPED, LetterStatus.SENT]


def test_runs_are_listed_in_order_over_many_pages(records: str) -> None:
    with connect(letters, records=records) as client:
        triggers: list[Trigger[Letter, LetterStatus]] = [
            Trigger(str(number), Letter()) for number in range(250)
        ]
        started = client.trigger_many(triggers)
        assert {outcome for _, outcome in started} == {TriggerOutcome.STARTED}
        listed = [run.foreign_id for run in client.runs(page_size=30)]
        assert listed == [trigger.foreign_id for trigger in triggers]
        handle = started[0][0]
        assert isinstance(handle, Handle)
        assert handle.get().foreign_id == "0"


def test_an_iteration_that_its_reader_leaves_ends(records: str) -> None:
    with connect(letters, records=records) as client:
        client.trigger_many([Trigger(str(number), Letter()) for number in range(5)])
        for run in client.runs(page_size=1):
            assert run.foreign_id == "0"
            break
        assert len(list(client.runs())) == 5


def test_a_run_is_paused_resumed_and_cancelled(records: str) -> None:
    with connect(letters, records=records) as client:
        handle = client.trigger("1", Letter())
        assert handle.pause("a test", by="tester").reason == "a test"
        assert handle.resume().run_state is RunState.RUNNING
        assert handle.cancel("enough").run_state is RunState.CANCELLED


def test_a_run_is_moved_and_forked(running: str) -> None:
    with connect(letters, records=running) as client:
        handle = client.trigger("1", Letter())
        handle.wait_for(LetterStatus.STAMPED, timeout=SOON)
        assert handle.move(LetterStatus.SENT, "a test").status is LetterStatus.SENT
        other = handle.fork(1, foreign_id="2")
        assert isinstance(other, Handle)
        assert other.wait_for(LetterStatus.STAMPED, timeout=SOON).foreign_id == "2"


def test_a_failed_run_is_waited_for_and_retried(running: str) -> None:
    with connect(letters, records=running) as client:
        handle = client.trigger("1", Letter(to="nobody"))
        with pytest.raises(RunPaused, match="nobody lives there"):
            handle.wait(timeout=SOON)
        handle.retry()
        with pytest.raises(RunPaused):
            handle.wait(timeout=SOON)


def test_errors_are_those_of_the_asynchronous_client(records: str) -> None:
    with connect(letters, records=records) as client:
        handle = client.trigger("1", Letter())
        with pytest.raises(RunActive):
            client.trigger("1", Letter())
        with pytest.raises(RunNotFound):
            client.latest("2")
        with pytest.raises(WaitTimeout, match="No process runs"):
            handle.wait(timeout=0.05)


def test_relatives_are_listed_by_handle_or_by_id(records: str) -> None:
    with connect(letters, records=records) as client:
        handle = client.trigger("1", Letter())
        assert list(handle.children(letters)) == list(handle.parents(letters)) == []
        assert list(client.runs(parent=handle)) == list(client.runs(child=handle.run_id)) == []


def test_schedules_are_shown_and_triggered(records: str) -> None:
    with connect(letters, records=records) as client:
        (schedule,) = client.schedules()
        client.pause_schedule(schedule.name)
        assert client.schedules()[0].paused
        client.resume_schedule(schedule.name)
        triggered = client.trigger_schedule(schedule.name)
        assert triggered is not None
        assert triggered.get().data.to == "everybody"
        january = client.backfill(
            schedule.name, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        )
        assert [outcome for _, outcome in january] == [TriggerOutcome.STARTED]


def test_many_runs_are_controlled_by_a_job(running: str) -> None:
    with connect(letters, records=running) as client:
        for number in range(3):
            client.trigger(str(number), Letter()).wait_for(LetterStatus.STAMPED, timeout=SOON)
        counted = client.bulk("pause", "a test", status=LetterStatus.STAMPED, dry_run=True)
        assert counted.changed == 3
        job = client.bulk("pause", "a test", status=LetterStatus.STAMPED)
        assert job.wait(timeout=SOON).changed == 3
        assert client.bulk_job(job.id).progress() == client.bulk_jobs()[0]
        assert {run.reason for run in client.runs(run_state=RunState.PAUSED)} == {"a test"}
        job.drop()
        assert client.bulk_jobs() == []


def test_dead_letters_are_listed_and_shown(records: str) -> None:
    with connect(letters, records=records) as client:
        dead = client.dead_letters()
        assert list(dead) == []
        with pytest.raises(DeadLetterNotFound):
            dead.show("hooks/1")
        dead.replay()
        dead.drop()


def test_a_client_with_default_keys_shares_the_connection(records: str) -> None:
    with connect(letters, records=records) as client:
        keyed = client.with_default_keys(lambda target, function: f"key-{target}")
        keyed.trigger("1", Letter())
        assert keyed.trigger("1", Letter()).outcome is TriggerOutcome.KNOWN
