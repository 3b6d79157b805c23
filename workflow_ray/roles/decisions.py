"""What a consumer decides on the outcomes of attempts, as results to commit."""

from typing import Any

from workflow_ray.definition import Workflow
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.held_back import is_held_as_before, postponed
from workflow_ray.engine.message_outcomes import (
    MessageChange,
    count_message,
    decide_message,
    give_back_message,
    missing_function,
)
from workflow_ray.engine.transition import (
    Failed,
    HeldBack,
    Outcome,
    count_attempt,
    decide,
    give_back,
    is_counted,
)
from workflow_ray.records import NO_VERSION, Message, RoleName, new_write_id
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.result import Result


class Decisions:
    """Decides for one role.

    Args:
        role: The role's name.
        workflow: The workflow of the runs.
    """

    def __init__(self, role: RoleName, workflow: Workflow[Any, Any]) -> None:
        self._role = role
        self._workflow = workflow
        self._asked = asked_states(workflow.checked())

    def of(self, attempt: Attempt, outcome: Outcome) -> Result:
        """Make the result that settles an attempt."""
        if attempt.message is not None:
            return self._of_message(attempt, attempt.message, outcome)
        if isinstance(outcome, HeldBack) and self._is_postponed(attempt, outcome):
            attempt.is_postponed = True
            again = postponed(attempt.record, attempt.event, outcome)
            return Result(None, attempt, postponed=again)
        assert attempt.function is not None, "a cascade has no outcome to decide on"
        write = decide(
            attempt.record,
            outcome,
            attempt.function,
            self._workflow,
            by=self._role,
            write_id=new_write_id(),
        )
        if write.children:  # the store may refuse them, so the event must wait
            attempt.is_held = True
        if self._asked:
            write = announcing(self._asked, attempt.record, write)
        return Result(write, attempt)

    def _is_postponed(self, attempt: Attempt, held: HeldBack) -> bool:
        """Whether a run that is held back needs no version.

        With a version the store sends an event again for a message whose event was passed over.
        """
        return is_held_as_before(attempt.record, held) and not attempt.has_passed_message

    def refused(self, attempt: Attempt, why: str) -> Result:
        """Make the result of an attempt whose first result the store has refused."""
        return self.of(attempt, Failed(why, fatal=True))

    def _of_message(self, attempt: Attempt, message: Message, outcome: Outcome) -> Result:
        function = attempt.function
        if function is None:
            change = missing_function(
                attempt.record, message, self._workflow, by=self._role, write_id=new_write_id()
            )
        else:
            change = decide_message(
                attempt.record,
                message,
                outcome,
                function,
                self._workflow,
                by=self._role,
                write_id=new_write_id(),
            )
        return self._settling(attempt, change)

    def holds_back(self, attempt: Attempt) -> bool:
        """Whether the run's data is of a later version than the code: no function is called."""
        return attempt.record.data_version > self._workflow.data_version

    def count(self, attempt: Attempt) -> Result:
        """Count an attempt before it begins. See `counts`."""
        function = attempt.function
        assert function is not None, "only functions of users are counted"
        if attempt.message is None:
            write = count_attempt(
                attempt.record, function, self._workflow, by=self._role, write_id=new_write_id()
            )
            return Result(announcing(self._asked, attempt.record, write))
        change = count_message(
            attempt.record,
            attempt.message,
            function,
            self._workflow,
            by=self._role,
            write_id=new_write_id(),
        )
        return Result(change.write, failure=change.failure)

    def counts(self, result: Result) -> bool:
        """Whether a result of `count` lets the attempt begin. If not, it settles the attempt."""
        if result.write is None:
            return result.failure is not None and result.failure.retry_in is not None
        return is_counted(result.write)

    def settle(self, attempt: Attempt, result: Result) -> Result:
        """Let a result of `count` settle the attempt."""
        if attempt.message is None:
            return Result(result.write, attempt)
        return self._settling(attempt, MessageChange(result.write, result.failure))

    def counted(self, attempt: Attempt, result: Result) -> None:
        """Note that a result of `count` is committed."""
        attempt.is_counted = True
        if result.write is not None:
            attempt.counted = result.write.onto(attempt.record)

    def give_back(self, attempt: Attempt) -> Result:
        """Make the result of a counted attempt that an orderly stop has abandoned."""
        if attempt.message is not None:
            attempt.look_again()  # its event is left to the next holder
            return Result(None, attempt, failure=give_back_message(attempt.message).failure)
        assert attempt.counted is not None, "a step is counted by a write"
        write = give_back(attempt.counted, by=self._role, write_id=new_write_id())
        return Result(write, attempt)

    def _settling(self, attempt: Attempt, change: MessageChange) -> Result:
        """Make the result of a message's attempt.

        Unless the run leaves its visit or rests, it is looked at again: for other messages if no
        write makes the store send an event for them, and for the step if its event has led to this
        attempt.
        """
        write = change.write
        if write is None or (write.awaited > NO_VERSION and attempt.event.version > NO_VERSION):
            attempt.look_again()
        elif write.children:
            attempt.is_held = True
        if write is not None:
            write = announcing(self._asked, attempt.record, write)
        return Result(write, attempt, failure=change.failure)
