"""The pytest plugin: testers from a fixture, and tests that run again with each crash."""

import pytest

# imported here, or each run in this process would import it again
from workflow_ray.testing.plugin import FIXTURE, MARKER

pytest_plugins = ["pytester"]

WORKFLOW = """
from typing import Literal

from pydantic import BaseModel
from workflow_ray import Run, Status, Workflow
from workflow_ray.testing import WorkflowTesterFactory


class At(Status):
    CREATED = 1
    PAID = 2
    SENT = 3


class Order(BaseModel):
    total: int = 0


class Bank:
    def __init__(self) -> None:
        self.charges = list[str]()
        self.keys = set[str]()

    def charge(self, order: str, key: str | None = None) -> None:
        if key is None or key not in self.keys:
            self.charges.append(order)
        if key is not None:
            self.keys.add(key)


def orders_of(bank: Bank, *, repeatable: bool) -> Workflow[Order, At]:
    orders = Workflow("orders", Order, At)

    @orders.step(At.CREATED)
    async def pay(run: Run[Order, At]) -> Literal[At.PAID]:
        bank.charge(run.foreign_id, run.idempotency_key if repeatable else None)
        return At.PAID

    @orders.step(At.PAID)
    def send(run: Run[Order, At]) -> Literal[At.SENT]:
        return At.SENT

    return orders
"""
TEST = """
import pytest
from flow import At, Bank, Order, orders_of

executions = []

@pytest.fixture
def bank():
    executions.append("a new bank")
    return Bank()

@pytest.mark.each_crash
async def test_an_order_is_paid_once(workflow_tester, bank):
    orders = orders_of(bank, repeatable={repeatable})
    async with workflow_tester(orders) as tester:
        handle = await tester.client(orders).trigger("order-1", Order())
        assert (await handle.wait()).status is At.SENT
    assert bank.charges == ["order-1"]

def test_after_it():
    assert len(executions) == {executions}
"""
COMMITS = 7  # of the roles: 3 for their positions, 2 of the steps, 2 of the publisher


OPTIONS = (
    *("-p", "workflow_ray.testing.plugin"),
    *("-p", "no:cacheprovider"),
    "--asyncio-mode=auto",
    "--override-ini=asyncio_default_fixture_loop_scope=function",
)


@pytest.fixture
def flow(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(flow=WORKFLOW)
    return pytester


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*OPTIONS, *arguments)


def test_the_fixture_makes_testers(flow: pytest.Pytester) -> None:
    flow.makepyfile(
        test_flow="""
        from datetime import UTC, datetime
        from flow import At, Bank, Order, orders_of

        async def test_it(workflow_tester):
            orders = orders_of(Bank(), repeatable=True)
            start = datetime(2031, 1, 1, tzinfo=UTC)
            async with workflow_tester(orders, start=start) as tester:
                handle = await tester.client(orders).trigger("order-1", Order())
                assert (await handle.wait()).created_at == start
                assert tester.commits > 0
            async with workflow_tester(orders) as tester:
                assert tester.crashes == []
        """
    )
    run(flow).assert_outcomes(passed=1)


def test_a_repeatable_step_passes_at_every_crash(flow: pytest.Pytester) -> None:
    executions = 1 + 2 * COMMITS
    flow.makepyfile(test_flow=TEST.format(repeatable=True, executions=executions))
    result = run(flow, "-v")
    result.assert_outcomes(passed=executions + 1)
    result.stdout.fnmatch_lines(
        [
            "test_flow.py::test_an_order_is_paid_once PASSED*",
            "test_flow.py::test_an_order_is_paid_once?before-1? PASSED*",
            "test_flow.py::test_an_order_is_paid_once?after-1? PASSED*",
            f"test_flow.py::test_an_order_is_paid_once?after-{COMMITS}? PASSED*",
            "test_flow.py::test_after_it PASSED*",
        ]
    )


def test_a_step_that_charges_twice_is_found_and_the_report_names_the_crash(
    flow: pytest.Pytester,
) -> None:
    executions = 1 + 2 * COMMITS
    flow.makepyfile(test_flow=TEST.format(repeatable=False, executions=executions))
    result = run(flow)
    result.assert_outcomes(passed=executions, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_an_order_is_paid_once?before-5? _*",
            "*crash*",
            "directly before commit 5: orders-1-consumer-1-of-1: version 2 of orders 'order-1'*",
            "run this alone: --crash-at=before-5",
            "FAILED test_flow.py::test_an_order_is_paid_once?before-5? - *",
        ]
    )


def test_one_crash_can_be_repeated_alone(flow: pytest.Pytester) -> None:
    flow.makepyfile(test_flow=TEST.format(repeatable=False, executions=1))
    run(flow, "--crash-at=before-5").assert_outcomes(passed=1, failed=1)
    run(flow, "--crash-at=after-5").assert_outcomes(passed=2)


def test_a_crash_that_the_test_does_not_reach_is_an_error(flow: pytest.Pytester) -> None:
    flow.makepyfile(test_flow=TEST.format(repeatable=True, executions=1))
    result = run(flow, "--crash-at=after-70")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"*--crash-at=after-70: the test has {COMMITS} commits*"])


@pytest.mark.parametrize("point", ["5", "before", "before-0", "beside-5", "after-x", "after-²"])
def test_a_wrong_crash_is_refused(flow: pytest.Pytester, point: str) -> None:
    flow.makepyfile(test_flow=TEST.format(repeatable=True, executions=1))
    result = run(flow, f"--crash-at={point}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is not a side and a commit, such as after-7*"])


def test_the_first_failure_ends_the_session_where_the_user_wants_that(
    flow: pytest.Pytester,
) -> None:
    flow.makepyfile(test_flow=TEST.format(repeatable=False, executions=10))
    run(flow, "-x").assert_outcomes(passed=9, failed=1)


def test_a_test_that_fails_without_a_crash_is_not_run_with_crashes(flow: pytest.Pytester) -> None:
    test = TEST.format(repeatable=True, executions=1).replace('["order-1"]', '["order-2"]')
    flow.makepyfile(test_flow=test)
    run(flow).assert_outcomes(passed=1, failed=1)


def test_a_test_that_is_skipped_is_not_run_with_crashes(flow: pytest.Pytester) -> None:
    test = TEST.format(repeatable=True, executions=0)
    flow.makepyfile(
        test_flow=test.replace(
            "@pytest.mark.each_crash", "@pytest.mark.skip\n@pytest.mark.each_crash"
        )
    )
    run(flow).assert_outcomes(passed=1, skipped=1)


def test_a_marked_test_without_the_fixture_is_refused(flow: pytest.Pytester) -> None:
    flow.makepyfile(
        test_flow="""
        import pytest

        @pytest.mark.each_crash
        def test_it():
            pass
        """
    )
    result = run(flow)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*test_it is marked {MARKER}, but does not use the fixture {FIXTURE}; *"]
    )


@pytest.mark.parametrize(("testers", "error"), [(0, "has made no tester"), (2, "makes one tester")])
def test_a_marked_test_makes_one_tester(flow: pytest.Pytester, testers: int, error: str) -> None:
    flow.makepyfile(
        test_flow=f"""
        import pytest
        from flow import Bank, orders_of

        @pytest.mark.each_crash
        def test_it(workflow_tester):
            for _ in range({testers}):
                workflow_tester(orders_of(Bank(), repeatable=True))
        """
    )
    result = run(flow)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{error}*"])


def test_parametrized_tests_and_methods_run_again_with_fixtures_of_their_own(
    flow: pytest.Pytester,
) -> None:
    flow.makepyfile(
        test_flow="""
        import pytest
        from flow import At, Bank, Order, orders_of

        class TestPaying:
            @pytest.mark.each_crash
            @pytest.mark.parametrize("order", ["one", "two"])
            async def test_it(self, workflow_tester, order):
                assert not hasattr(self, "seen")
                self.seen = True
                bank = Bank()
                orders = orders_of(bank, repeatable=True)
                async with workflow_tester(orders) as tester:
                    await (await tester.client(orders).trigger(order, Order())).wait()
                assert bank.charges == [order]
        """
    )
    result = run(flow, "-v")
    result.assert_outcomes(passed=2 * (1 + 2 * COMMITS))
    result.stdout.fnmatch_lines(["*::TestPaying::test_it?two??after-3? PASSED*"])


def test_it_works_with_xdist(flow: pytest.Pytester) -> None:
    flow.makepyfile(test_flow=TEST.format(repeatable=False, executions=1 + 2 * COMMITS))
    result = flow.runpytest_subprocess(*OPTIONS, "-n1")
    result.assert_outcomes(passed=1 + 2 * COMMITS, failed=1)
    result.stdout.fnmatch_lines(["run this alone: --crash-at=before-5"])
