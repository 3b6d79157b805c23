"""Crashes of the engine in a test: at which commits they happen, and which have happened."""

from typing import Literal, NamedTuple, TypeAlias

from workflow_ray.definition.arguments import checked_count, shown
from workflow_ray.errors import InvalidInput

Side: TypeAlias = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")


class CrashPoint(NamedTuple):
    """Directly before or directly after a commit of a role."""

    commit: int  # counted from the beginning of the test, from 1
    side: Side

    def __str__(self) -> str:
        return f"{self.side}-{self.commit}"

    @staticmethod
    def read(text: str) -> "CrashPoint":
        """Read what `str` has written. Raises InvalidInput."""
        side, _, commit = text.partition("-")
        for known in SIDES:
            if side == known and commit.isascii() and commit.isdigit() and int(commit) > 0:
                return CrashPoint(int(commit), known)
        raise InvalidInput("crash", f"{text!r} is not a side and a commit, such as after-7")


class Crashes:
    """Counts commits, and says at which of them the engine crashes."""

    def __init__(self) -> None:
        self.commits = 0
        self.happened: list[str] = []  # each as text
        self._planned = set[CrashPoint]()

    def plan(self, commit: int, side: Side) -> None:
        """Crash at a commit that is still to come. Raises InvalidInput."""
        checked_count("commit", commit)
        if side not in SIDES:
            raise InvalidInput("side", f"it is 'before' or 'after', not {shown(side)}")
        if commit <= self.commits:
            raise InvalidInput(
                "commit",
                f"commit {commit} is made already; name one from {self.commits + 1} up",
            )
        self._planned.add(CrashPoint(commit, side))

    def is_due(self, point: CrashPoint) -> bool:
        """Whether the engine crashes at this point."""
        return point in self._planned

    def note(self, point: CrashPoint, what: str) -> None:
        """Note a crash, and what is or was to be committed. It happens once."""
        self._planned.discard(point)
        self.happened.append(f"directly {point.side} commit {point.commit}: {what}")
