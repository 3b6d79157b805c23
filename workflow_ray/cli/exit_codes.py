"""The exit codes of all commands."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The result of a command. `WorkflowError.exit_code` is one of these."""

    DONE = 0
    FAILED = 1
    UNUSABLE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    LINES_REFUSED = 6
    STEPS_ABANDONED = 7
    RUNS_FAILED = 8
    DIFFERS = 9
    INTERRUPTED = 130
    READER_GONE = 141


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed, not confirmed, or the output could not be written",
    ExitCode.UNUSABLE: "an argument, a definition or the input can't be used",
    ExitCode.NOT_FOUND: "the run, the dead letter or the bulk job does not exist",
    ExitCode.NOT_ALLOWED: "the state of runs or of a bulk job does not allow it",
    ExitCode.UNREACHABLE: "a store or the runtime can't be reached",
    ExitCode.LINES_REFUSED: "some lines were refused; the others went through",
    ExitCode.STEPS_ABANDONED: "the worker abandoned steps at its deadline",
    ExitCode.RUNS_FAILED: "an error has paused some runs",
    ExitCode.DIFFERS: "a deploy would change something",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.READER_GONE: "the reader of the output has gone, as in `| head -1`",
}
ALWAYS = (
    ExitCode.DONE,
    ExitCode.FAILED,
    ExitCode.UNUSABLE,
    ExitCode.UNREACHABLE,
    ExitCode.INTERRUPTED,
    ExitCode.READER_GONE,
)
"""Codes that every command can return."""


def describe(*codes: ExitCode) -> str:
    """Describe the codes given and those in ALWAYS, for the end of a command's --help."""
    shown = sorted({*ALWAYS, *codes})
    return "\n".join(["Exit codes:", *(f"{code:>5}  {MEANINGS[code]}" for code in shown)])
