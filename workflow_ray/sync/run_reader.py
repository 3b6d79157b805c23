"""`RunReader`, whose calls block. `make sync` writes this from client/run_reader.py."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client import run_reader as asynchronous
from workflow_ray.client.history import Entry
from workflow_ray.definition import Run, Status
from workflow_ray.sync.blocking_calls import Blocking, BlockingCalls

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunReader(Blocking, Generic[D, S]):
    """Reads one run."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.RunReader[D, S]) -> None:
        super().__init__(calls, original)
        self._run_reader = original
        self.run_id = original.run_id

    def __repr__(self) -> str:
        return repr(self._run_reader)

    def get(self) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return self._calls.result(self._run_reader.get())

    def history(self) -> list[Entry[D, S]]:
        """List every version of the run, from the first, and the callbacks that have failed for
        good, by time. Raises RunNotFound.
        """
        return self._calls.result(self._run_reader.history())

    def follow(self, *, after: int = 0) -> Iterator[Entry[D, S]]:
        """Yield every version of the run above `after`, in order, as soon as it is written.

        It ends after the version that ends the run. Each version is yielded once. A callback that
        has failed for good is yielded within some seconds. Nothing is held between two versions, so
        a consumer may be slow, or go on later from the last version that it has seen: then the
        callbacks that have failed at that version are yielded again.

        Args:
            after: A version. 0: from the first.

        Raises:
            RunNotFound: The run does not exist. Raised by the first step of the iteration.
            InvalidInput: `after` is not a whole number from 0 up.
        """
        return self._calls.iterate(self._run_reader.follow(after=after))
