"""mypy and pyright, both strict, accept the correct file, and reject each marked line of the other
file and no other line.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.typing.shop import (
    Invoice,
    InvoiceStatus,
    Order,
    OrderStatus,
    Warehouse,
    develop,
    invoices,
    orders,
    reserve_stock,
    send,
    unpaid_orders_wait,
)
from workflow_ray import Cancel, Run, RunState

ROOT = Path(__file__).parents[2]
SHOP = Path("tests/typing/shop.py")
MISTAKES = Path("tests/typing/mistakes.py")


def output_of(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


def rejected_by_mypy(file: Path) -> set[int]:
    output = output_of("mypy", "--no-error-summary", "--hide-error-context", str(file))
    return {
        int(line)
        for line in re.findall(rf"^{re.escape(str(file))}:(\d+): error:", output, re.MULTILINE)
    }


def rejected_by_pyright(file: Path) -> set[int]:
    # It has its own configuration, because the repository's excludes the mistakes, even if their
    # file is named.
    found = json.loads(
        output_of(
            "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", "tests/typing"
        )
    )
    errors = [error for error in found["generalDiagnostics"] if error["severity"] == "error"]
    return {
        error["range"]["start"]["line"] + 1
        for error in errors
        if Path(error["file"]) == ROOT / file
    }


checkers = pytest.mark.parametrize("rejected_by", [rejected_by_mypy, rejected_by_pyright])


@checkers
@pytest.mark.timeout(240)
def test_a_checker_accepts_the_shop(rejected_by: Callable[[Path], set[int]]) -> None:
    assert rejected_by(SHOP) == set()


@checkers
@pytest.mark.timeout(240)
def test_a_checker_rejects_each_marked_line_and_no_other(
    rejected_by: Callable[[Path], set[int]],
) -> None:
    lines = (ROOT / MISTAKES).read_text().splitlines()
    assert rejected_by(MISTAKES) == {
        number for number, line in enumerate(lines, start=1) if "# mistake" in line
    }


def test_the_shop_has_no_mistakes() -> None:
    assert len(orders.checked().steps) == 3
    assert len(invoices.checked().steps) == 1


async def test_the_shop_runs_in_one_process() -> None:
    run = await develop("memory://typing")
    assert (run.status, run.run_state) == (OrderStatus.SHIPPED, RunState.COMPLETED)


async def test_the_shop_runs_in_a_test_while_time_stands_still() -> None:
    assert (await unpaid_orders_wait()).status is OrderStatus.AWAITING_PAYMENT


async def test_a_step_is_tried_alone_by_calling_it() -> None:
    assert await reserve_stock(Run(Order(total=0), OrderStatus.CREATED), Warehouse()) == Cancel(
        "empty order"
    )
    assert send(Run(Invoice(total=1), InvoiceStatus.DRAFT)) is InvoiceStatus.SENT
