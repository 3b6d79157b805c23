"""The results of a job: shown as a table, written as JSON."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from workflow_ray.cli.job import Job
from workflow_ray.ports import records_adapter
from workflow_ray.records import RunState
from workflow_ray.runtime.urls import Places


class RefusedLine(msgspec.Struct, frozen=True):
    line: int
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The same, whether shown or written.

    Times are those of the runs that this job started; None: it started none.
    """

    workflow: str
    runtime: str
    records: str  # where the data lies
    events: str  # where they travelled
    timeouts: str
    input: str
    started: int  # runs that this job started
    known: int  # lines whose run stood already, from an earlier job or an earlier line
    refused: list[RefusedLine]
    paused: int
    failed: int  # those of the paused runs that an error has paused
    runs: dict[str, int]  # all of this input's runs, by final status
    transitions: int
    seconds: float
    transitions_per_second: float | None
    p50_ms: float | None  # trigger to end
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
        refused: list[RefusedLine],
    ) -> "Report":
        return cls(
            workflow=workflow,
            runtime=runtime,
            records=places.records,
            events=places.events,
            timeouts=places.timeouts,
            input=source,
            started=job.started,
            known=job.known,
            refused=refused,
            paused=job.ends.total(RunState.PAUSED),
            failed=job.ends.failed,
            runs=job.ends.by_status(),
            transitions=job.timing.transitions,
            seconds=job.timing.seconds,
            transitions_per_second=job.timing.transitions_per_second,
            p50_ms=job.timing.percentile_ms(50),
            p99_ms=job.timing.percentile_ms(99),
        )

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    def show(self, console: Console) -> None:
        console.print(self._ends())
        console.print(self._numbers())
        console.print(f"The data lies in {Places(self.records, self.events, self.timeouts)}")
        console.print("What to try next:")
        for command, what in self._next():
            console.print(f"  {command}  # {what}")

    def _ends(self) -> Table:
        table = Table(
            "final status",
            title=f"{self.workflow}: {sum(self.runs.values()):,} runs",
            title_justify="left",
        )
        table.add_column("runs", justify="right")
        for status, count in self.runs.items():
            table.add_row(status, f"{count:,}")
        return table

    def _numbers(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row("started now", f"{self.started:,}")
        table.add_row(
            "known already", f"{self.known:,}" + (", none processed twice" if self.known else "")
        )
        table.add_row("lines refused", f"{len(self.refused):,}")
        if self.transitions_per_second is not None:
            table.add_row("transitions per second", f"{self.transitions_per_second:,.0f}")
        if self.p50_ms is not None:
            table.add_row("trigger to end", f"p50 {self.p50_ms:,.1f} ms, p99 {self.p99_ms:,.1f} ms")
        return table

    def _next(self) -> Iterator[tuple[str, str]]:
        # a server is opened with what isn't shown here, such as its password
        on = (
            "--records URL" if records_adapter(self.records).shared else f"--records {self.records}"
        )
        listed = f"workflow-ray runs list {self.workflow} {on}"
        if self.failed:
            yield f"{listed} --failed", f"why {self.failed:,} failed"
            yield (
                f"workflow-ray runs retry --workflow {self.workflow} --failed {on}",
                "try them again, once the cause is mended",
            )
        if self.paused > self.failed:
            yield f"{listed} --state PAUSED", f"why {self.paused:,} are paused"
        yield listed, "the newest runs"
        yield f"workflow-ray runs history RUN_ID {on}", "how one of them got there"
        yield "the same command again", "no run is processed twice"
        if self.runtime == "ray":
            yield f"workflow-ray down {on}", "end what stays on Ray; the records stay"
