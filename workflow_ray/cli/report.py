"""Reports the result of a job, as tables or as JSON."""

import os

import msgspec
from rich.table import Table
from rich.text import Text

from workflow_ray.cli.job import Job
from workflow_ray.cli.output import say, visible, write
from workflow_ray.records import RunState
from workflow_ray.runtime.urls import Places


class RefusedLine(msgspec.Struct, frozen=True):
    """A line that was refused."""

    line: int
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a job. Times are those of the runs that it started; null: it started none."""

    workflow: str
    runtime: str
    records: str  # where the data is
    events: str  # where events travelled
    timeouts: str
    input: str
    started: int  # runs that this job started
    known: int  # lines whose run existed before, from an earlier job or line
    refused: list[RefusedLine]
    paused: int
    failed: int  # paused runs that an error has paused
    runs: dict[str, int]  # all runs of this input, by final status
    transitions: int
    seconds: float
    transitions_per_second: float | None
    p50_ms: float | None  # from trigger to end
    p99_ms: float | None

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        workflow: str,
        runtime: str,
        places: Places,
        source: str,
    ) -> "Report":
        """Report on a job that has ended.

        Args:
            job: The job.
            workflow: The workflow's name.
            runtime: Where the steps ran: `ray` or `local`.
            places: Where the records, events and timeouts are.
            source: The input, as it was given.
        """
        return cls(
            workflow=workflow,
            runtime=runtime,
            records=places.records,
            events=places.events,
            timeouts=places.timeouts,
            # the name of a file may have bytes that are not text
            input=os.fsencode(source).decode(errors="backslashreplace"),
            started=job.started,
            known=job.known,
            refused=[RefusedLine(line.number, line.why) for line in job.refused],
            paused=job.ends.total(RunState.PAUSED),
            failed=job.ends.failed,
            runs=job.ends.by_status(),
            transitions=job.timing.transitions,
            seconds=job.timing.seconds,
            transitions_per_second=job.timing.transitions_per_second,
            p50_ms=job.timing.percentile_ms(50),
            p99_ms=job.timing.percentile_ms(99),
        )

    def show(self) -> None:
        """Print the report as text."""
        write(self._ends(), self._numbers())
        say(f"The data is in {Places(self.records, self.events, self.timeouts)}")

    def _ends(self) -> Table:
        table = Table(
            "final status",
            title=Text(f"{visible(self.workflow)}: {sum(self.runs.values()):,} runs", "italic"),
            title_justify="left",
        )
        table.add_column("runs", justify="right")
        for status, count in self.runs.items():
            table.add_row(Text(visible(status)), f"{count:,}")
        return table

    def _numbers(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row("started now", f"{self.started:,}")
        table.add_row(
            "known before", f"{self.known:,}" + (", none processed twice" if self.known else "")
        )
        table.add_row("lines refused", f"{len(self.refused):,}")
        if self.transitions_per_second is not None:
            table.add_row("transitions per second", f"{self.transitions_per_second:,.0f}")
        if self.p50_ms is not None:
            table.add_row("trigger to end", f"p50 {self.p50_ms:,.1f} ms, p99 {self.p99_ms:,.1f} ms")
        return table
