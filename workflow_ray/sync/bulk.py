"""`BulkJob`, whose calls block. `make sync` writes this from client/bulk.py."""

from workflow_ray.client import bulk as asynchronous
from workflow_ray.client.bulk_progress import BulkProgress
from workflow_ray.definition.durations import Duration
from workflow_ray.sync.blocking_calls import Blocking, BlockingCalls


class BulkJob(Blocking):
    """A bulk job: read how far it is, wait for its end, control it. Threads may share it."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.BulkJob) -> None:
        super().__init__(calls, original)
        self._bulk_job = original
        self.id = original.id

    def __repr__(self) -> str:
        return repr(self._bulk_job)

    def progress(self) -> BulkProgress:
        """Return how far the job is. Raises BulkJobNotFound."""
        return self._calls.result(self._bulk_job.progress())

    def wait(self, *, timeout: Duration | None = None) -> BulkProgress:
        """Wait until the job is done or aborted. All its writes are committed then.

        Args:
            timeout: Seconds, or a timedelta. None: no limit, also while the job is paused.

        Returns:
            The job, with the final counts.

        Raises:
            BulkWaitTimeout: The time is over. The job goes on.
            BulkJobNotFound: It does not exist.
            InvalidInput: The timeout can't be used.
        """
        return self._calls.result(self._bulk_job.wait(timeout=timeout))

    def pause(self) -> BulkProgress:
        """Let the job rest after the page in hand. A job that is paused stays so.

        Returns:
            The job. `asked` is PAUSED until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return self._calls.result(self._bulk_job.pause())

    def resume(self) -> BulkProgress:
        """Let a paused job go on after its last page. A job that runs goes on.

        Returns:
            The job. `asked` is RUNNING until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return self._calls.result(self._bulk_job.resume())

    def abort(self) -> BulkProgress:
        """End the job after the page in hand. Runs that were changed stay so.

        Returns:
            The job. `asked` is ABORTED until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return self._calls.result(self._bulk_job.abort())

    def drop(self) -> None:
        """Remove the job, which has ended, from the list.

        Raises:
            BulkJobRefused: It has not ended.
            BulkJobNotFound: It does not exist.
        """
        self._calls.result(self._bulk_job.drop())
