"""The pytest plugin: the fixture `workflow_tester`, and the marker `each_crash`.

pytest loads it by the entry point `workflow_ray.testing.plugin` of the group `pytest11`.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from _pytest.runner import runtestprotocol  # as pytest-rerunfailures: pytest has no public name

from workflow_ray.definition import Resource, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.testing.clock import START
from workflow_ray.testing.crashes import SIDES, CrashPoint
from workflow_ray.testing.tester import WorkflowTester, WorkflowTesterFactory

MARKER = "each_crash"
FIXTURE = "workflow_tester"
OPTION = "--crash-at"


@dataclass
class Execution:
    """One execution of a marked test, which may be run several times."""

    point: CrashPoint | None = None  # where the engine crashes
    tester: WorkflowTester | None = None
    has_failed: bool = False


EXECUTION = pytest.StashKey[Execution]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("workflow_ray").addoption(
        OPTION,
        type=_point,
        metavar="SIDE-COMMIT",
        help=f"run tests marked {MARKER} with this crash alone, for example after-7",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}: run the test again for each commit of its workflows' roles, with a crash of the"
        " engine before it, and with one after it",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_marked(item) and FIXTURE not in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(
                f"{item.nodeid} is marked {MARKER}, but does not use the fixture {FIXTURE}; take it"
                " as an argument, and make the tester with it"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test without a crash, which counts its commits, then with each crash."""
    if not _is_marked(item):
        return None
    if (only := item.config.getoption(OPTION)) is not None:
        _run(item, nextitem, only)
        return True
    first = _run(item, nextitem, None)
    if first.has_failed or first.tester is None:
        return True
    commits = range(1, first.tester.commits + 1)
    points = [CrashPoint(commit, side) for commit in commits for side in SIDES]
    item.session.testscollected += len(points)  # for the percentage that pytest shows
    for point in points:
        if item.session.shouldfail or item.session.shouldstop:
            break
        _run(item, nextitem, point)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    execution = item.stash.get(EXECUTION, None)
    if execution is not None:
        execution.has_failed |= not report.passed
        if execution.point is not None:
            _name(report, execution.point, item.config)
        if report.failed and execution.point is not None:
            report.sections.append(("crash", _crash_in_words(execution)))
    return report


@pytest.fixture(name=FIXTURE)
def workflow_tester(request: pytest.FixtureRequest) -> Iterator[WorkflowTesterFactory]:
    """Makes testers, as `WorkflowTester(...)` does. A test marked each_crash makes one with it."""
    node: pytest.Item = request.node
    execution = node.stash.get(EXECUTION, None)

    def make(
        *workflows: Workflow[Any, Any],
        resources: Mapping[Resource[Any], object] | None = None,
        start: datetime = START,
    ) -> WorkflowTester:
        tester = WorkflowTester(*workflows, resources=resources, start=start)
        if execution is not None:
            if execution.tester is not None:
                raise InvalidInput(FIXTURE, f"a test marked {MARKER} makes one tester")
            execution.tester = tester
            if execution.point is not None:
                tester.crash_at(*execution.point)
        return tester

    yield make
    if execution is not None:
        _check(execution, is_alone=request.config.getoption(OPTION) is not None)


def _check(execution: Execution, *, is_alone: bool) -> None:
    """Fail a test that has tested no crash, which would look like a success."""
    if execution.has_failed:
        return
    if execution.tester is None:
        pytest.fail(f"the test is marked {MARKER}, but has made no tester by {FIXTURE}", False)
    if is_alone and not execution.tester.crashes:
        pytest.fail(
            f"{OPTION}={execution.point}: the test has {execution.tester.commits} commits", False
        )


def _run(item: pytest.Item, nextitem: pytest.Item | None, point: CrashPoint | None) -> Execution:
    """Run the test once, with fixtures of its own, and report it."""
    execution = item.stash[EXECUTION] = Execution(point)
    if isinstance(item, pytest.Function) and item.cls is not None:
        # pytest keeps the instance of the class, and the method of that instance; each execution
        # gets a new one, as each test does
        for name in ("_instance", "_obj"):
            vars(item).pop(name, None)
    name = _nodeid(item.nodeid, point, item.config)
    item.ihook.pytest_runtest_logstart(nodeid=name, location=item.location)
    runtestprotocol(item, nextitem=nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=name, location=item.location)
    return execution


def _name(report: pytest.TestReport, point: CrashPoint, config: pytest.Config) -> None:
    """Name the crash where the report names the test."""
    file, line, name = report.location
    report.location = file, line, f"{name}[{point}]"
    report.nodeid = _nodeid(report.nodeid, point, config)


def _nodeid(nodeid: str, point: CrashPoint | None, config: pytest.Config) -> str:
    # pytest-xdist accepts reports on the tests only that it has collected
    return nodeid if point is None or hasattr(config, "workerinput") else f"{nodeid}[{point}]"


def _crash_in_words(execution: Execution) -> str:
    crashes = execution.tester.crashes if execution.tester is not None else []
    what = "\n".join(crashes) or f"it was to crash at {execution.point}, and has not come so far"
    return f"{what}\nrun this alone: {OPTION}={execution.point}"


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARKER) is not None


def _point(text: str) -> CrashPoint:
    try:
        return CrashPoint.read(text)
    except InvalidInput as error:
        raise pytest.UsageError(str(error)) from None
