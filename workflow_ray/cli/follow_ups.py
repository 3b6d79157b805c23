"""Lists commands to run after a job, quoted for a shell and without passwords."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from workflow_ray.cli.output import say
from workflow_ray.cli.report import Report
from workflow_ray.ports import records_adapter
from workflow_ray.runtime.urls import RECORDS

_WITHOUT_SECRET = re.compile(r"[^:/?#@]+://([^:/?#@]+@)?[^?#@]*")
"""A URL without a password and without options."""


@dataclass(frozen=True)
class FollowUp:
    """A command and its purpose. Without a command the purpose is a sentence of its own."""

    purpose: str
    command: str = ""


def list_follow_ups(report: Report, example: str | None, records: str | None) -> Sequence[FollowUp]:
    """List commands that a user may want to run after a job.

    Args:
        report: The job's report.
        example: The id of one of its runs.
        records: The URL of the records as the user gave it; None: it was not given.
    """
    at = _records_option(records, report.records)
    listed = ["runs", "list", report.workflow]
    found: list[FollowUp] = []
    if at is None:
        found.append(
            FollowUp(f"Set {RECORDS} first: the URL is not printed, as it may hold a password.")
        )
    at = at or ()
    if report.failed:
        found += [
            FollowUp(f"Show why {report.failed:,} failed:", _line(*listed, "--failed", *at)),
            FollowUp(
                "Try them again, when the cause is fixed:",
                _line("runs", "retry", "--workflow", report.workflow, "--failed", *at),
            ),
        ]
    if report.paused > report.failed:
        found.append(
            FollowUp(
                f"Show why {report.paused:,} are paused:", _line(*listed, "--state", "PAUSED", *at)
            )
        )
    found.append(FollowUp("List the newest runs:", _line(*listed, *at)))
    if example:
        found.append(FollowUp("Show how one of them went:", _line("runs", "history", example, *at)))
    if report.runtime == "ray":
        found.append(FollowUp("End what runs on Ray; the records stay:", _line("down", *at)))
    found.append(FollowUp("The same job again processes no run twice."))
    return found


def show_follow_ups(found: Sequence[FollowUp]) -> None:
    """Print commands on lines of their own, so that they can be copied."""
    say("What to do next:")
    for each in found:
        say(f"  {each.purpose}")
        if each.command:
            say(f"    {each.command}")


def _records_option(given: str | None, canonical: str) -> Sequence[str] | None:
    """Return the option that names the records; None: it can't be printed."""
    in_environment = os.environ.get(RECORDS)
    if in_environment and given in (None, in_environment):
        return ()
    if not records_adapter(canonical).shared:
        return ("--records", canonical)  # works in every folder
    if given and _WITHOUT_SECRET.fullmatch(given):
        return ("--records", given)
    return None


def _line(*arguments: str) -> str:
    return shlex.join(["workflow-ray", *arguments])
