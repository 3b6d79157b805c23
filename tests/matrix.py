"""The results of every adapter in the conformance suites.

`make matrix` runs the suites and writes docs/adapters.md.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from workflow_ray.testing import conformance
from workflow_ray.testing.conformance import Conformance

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adapters.md"
ADAPTERS = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgres": "postgresql",
    "mariadb": "mariadb",
    "redis": "redis",
    "kafka": "kafka",
}
"""A part of the name of an adapter's test class -> the adapter's column."""
PASSED, FAILED, LACKS, ABSENT = "passed", "**failed**", "lacks", "-"
INTRODUCTION = """\
# What each adapter does

Each row is a case of `workflow_ray.testing.conformance`, with its result for each adapter on its
real server: passed, failed, or lacks, with the reason below the table. A dash means that the
adapter doesn't have that port. You can run the same cases on an adapter of your own: the docstring
of that package shows how. `make matrix` runs the cases and writes this page.
"""


class Cell(NamedTuple):
    suite: str
    case: str
    adapter: str


class Results:
    """A pytest plugin that runs only the conformance suites, and keeps their results."""

    def __init__(self) -> None:
        self.outcomes: dict[Cell, set[str]] = defaultdict(set)
        self._cells: dict[str, Cell] = {}  # by node id

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {
            item: cell
            for item in items
            if isinstance(item, pytest.Function) and (cell := cell_of(item))
        }
        items[:] = found
        self._cells = {item.nodeid: cell for item, cell in found.items()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.outcomes[self._cells[report.nodeid]].add(FAILED)
        elif report.skipped:
            self.outcomes[self._cells[report.nodeid]].add(reason(report))
        elif report.when == "call":
            self.outcomes[self._cells[report.nodeid]].add(PASSED)


def cell_of(item: pytest.Function) -> Cell | None:
    """Return the place of a test in the matrix; None: it has none."""
    kind, case = item.cls, item.originalname
    adapter = next(
        (column for part, column in ADAPTERS.items() if kind and part in kind.__name__.lower()),
        None,
    )
    suite = next(
        (
            name
            for name, suite in suites().items()
            if kind and issubclass(kind, suite) and hasattr(suite, case)
        ),
        None,
    )
    return Cell(suite, case, adapter) if suite and adapter else None


def suites() -> dict[str, type[Conformance]]:
    """Return the public suites, by the name of their port."""
    public = {
        name: getattr(conformance, name)
        for name in conformance.__all__
        if name.endswith("Conformance")
    }
    return {
        name.removesuffix("Conformance"): suite
        for name, suite in public.items()
        if suite is not Conformance
    }


def cases(suite: type[Conformance]) -> list[str]:
    """List a suite's cases, in the order in which they are written."""
    parts = [part for part in suite.__mro__ if issubclass(part, Conformance)]
    return [name for part in parts for name in vars(part) if name.startswith("test_")]


def reason(report: pytest.TestReport) -> str:
    """Return why a case was skipped: `lacks ...`."""
    return str(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    ).removeprefix("Skipped: ")


def page(outcomes: dict[Cell, set[str]]) -> str:
    return "\n".join(
        [
            INTRODUCTION,
            *(
                line
                for name, suite in suites().items()
                for line in table(name, cases(suite), outcomes)
            ),
        ]
    )


def table(suite: str, names: list[str], outcomes: dict[Cell, set[str]]) -> Iterator[str]:
    """Make a suite's table, with the reasons for what adapters lack below it."""
    reasons: list[str] = []
    yield f"## {suite}\n"
    yield f"| case | {' | '.join(ADAPTERS.values())} |"
    yield f"|---|{'---|' * len(ADAPTERS)}"
    for name in names:
        found = (outcomes.get(Cell(suite, name, adapter), set()) for adapter in ADAPTERS.values())
        yield f"| {title(name)} | {' | '.join(shown(outcome, reasons) for outcome in found)} |"
    yield ""
    yield from (f"{number}. {text}" for number, text in enumerate(reasons, 1))
    yield from [""] if reasons else []


def title(case: str) -> str:
    return case.removeprefix("test_").replace("_", " ")


def shown(outcome: set[str], reasons: list[str]) -> str:
    """Return the worst result of a case's variants, and add its reasons to `reasons`."""
    lacking = sorted(outcome - {PASSED, FAILED})
    reasons += [text for text in lacking if text not in reasons]
    if FAILED in outcome:
        return FAILED
    if lacking:
        return f"{LACKS} ({', '.join(str(reasons.index(text) + 1) for text in lacking)})"
    return PASSED if outcome else ABSENT


def main() -> int:
    """Run the suites, and write the page whatever the results are. Returns pytest's exit code."""
    results = Results()
    code = pytest.main(["--quiet", str(ROOT / "tests" / "adapters")], plugins=[results])
    if results.outcomes:
        PAGE.write_text(page(results.outcomes))
        print(f"{PAGE.relative_to(ROOT)} is written")
    return code


if __name__ == "__main__":
    sys.exit(main())
