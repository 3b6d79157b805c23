"""Errors of deploys that would leave runs behind."""

from collections.abc import Sequence
from typing import NamedTuple

from workflow_ray.errors.base import WorkflowError


class StrandedRuns(NamedTuple):
    """Runs that could not go on after a deploy."""

    workflow: str
    what: str  # what they lose, with their number
    runs: int  # how many of them are known
    way_out: str

    def __str__(self) -> str:
        return f"{self.what}; {self.way_out}"


class DeployStrandsRuns(WorkflowError):
    """After the deploy some unfinished runs could not go on. Nothing was written.

    `findings`: all that was found, each with the number of runs and the way out.
    """

    exit_code = 4

    def __init__(self, findings: Sequence[tuple[str, str, int, str]]) -> None:
        super().__init__(list(findings))
        self.findings = [StrandedRuns(*finding) for finding in findings]

    def __str__(self) -> str:
        names = sorted({finding.workflow for finding in self.findings})
        of = " and ".join(map(repr, names))
        lines = [
            str(finding) if len(names) == 1 else f"{finding.workflow}: {finding}"
            for finding in self.findings
        ]
        return "\n  ".join(
            [
                f"a deploy of {of} would leave unfinished runs behind, and was not made:",
                *lines,
                "To deploy all the same: --strand, in a program strand=True.",
            ]
        )
