"""`DeadLetters`, whose calls block. `make sync` writes this from client/dead_letters.py."""

from collections.abc import Iterator

from workflow_ray.client import dead_letters as asynchronous
from workflow_ray.client.dead_letters import DeadLetter, DeadLetterContent
from workflow_ray.sync.blocking_calls import Blocking, BlockingCalls


class DeadLetters(Blocking):
    """The dead letters of one workflow, or of one of its connectors.

    `for letter in letters` lists them, page by page.
    """

    def __init__(self, calls: BlockingCalls, original: asynchronous.DeadLetters) -> None:
        super().__init__(calls, original)
        self._dead_letters = original

    def __iter__(self) -> Iterator[DeadLetter]:
        return self._calls.iterate(self._dead_letters.__aiter__())

    def show(self, letter_id: str) -> DeadLetterContent:
        """Return a dead letter with its event.

        Args:
            letter_id: As DeadLetter.id has it.

        Raises:
            DeadLetterNotFound: It does not exist.
        """
        return self._calls.result(self._dead_letters.show(letter_id))

    def replay(self, *ids: str) -> None:
        """Deliver dead letters again, with all their attempts.

        An event that fails again is tried again by its policy. With `ordered=True` a replayed event
        comes after the events of its key that were delivered meanwhile.

        Args:
            ids: As DeadLetter.id has them.

        Raises:
            DeadLetterNotFound: One of them is not there. None was replayed.
            DeadLetterIncomplete: The data of one of them was too large to be kept. None was
                replayed.
        """
        self._calls.result(self._dead_letters.replay(*ids))

    def drop(self, *ids: str) -> None:
        """Remove dead letters for good.

        Args:
            ids: As DeadLetter.id has them.

        Raises:
            DeadLetterNotFound: One of them is not there. None was dropped.
        """
        self._calls.result(self._dead_letters.drop(*ids))
