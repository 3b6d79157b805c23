"""mypy and pyright, both strict, accept the correct files, and reject each marked line of the other
files and no other line.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.typing import batches, waits
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
CORRECT = [
    Path("tests/typing/shop.py"),
    Path("tests/typing/waits.py"),
    Path("tests/typing/batches.py"),
    Path("tests/typing/blocking.py"),
    Path("tests/typing/changes.py"),
    Path("tests/typing/flow.py"),
]
MISTAKEN = [
    Path("tests/typing/mistakes.py"),
    Path("tests/typing/mistakes_in_waits.py"),
    Path("tests/typing/mistakes_in_batches.py"),
    Path("tests/typing/mistakes_in_blocking.py"),
    Path("tests/typing/mistakes_in_changes.py"),
    Path("tests/typing/mistakes_in_flow.py"),
]


def output_of(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


def rejected_by_mypy(files: list[Path]) -> set[tuple[str, int]]:
    output = output_of("mypy", "--no-error-summary", "--hide-error-context", *map(str, files))
    found = re.findall(r"^([^:\n]+):(\d+): error:", output, re.MULTILINE)
    return {(file, int(line)) for file, line in found if Path(file) in files}


def rejected_by_pyright(files: list[Path]) -> set[tuple[str, int]]:
    # It has its own configuration, because the repository's excludes the mistakes, even if their
    # file is named.
    found = json.loads(
        output_of(
            "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", "tests/typing"
        )
    )
    errors = [error for error in found["generalDiagnostics"] if error["severity"] == "error"]
    places = [(Path(error["file"]), error["range"]["start"]["line"] + 1) for error in errors]
    return {
        (str(file.relative_to(ROOT)), line)
        for file, line in places
        if file in [ROOT / each for each in files]
    }


checkers = pytest.mark.parametrize("rejected_by", [rejected_by_mypy, rejected_by_pyright])
RejectedBy: TypeAlias = Callable[[list[Path]], set[tuple[str, int]]]


@checkers
@pytest.mark.timeout(240)
def test_a_checker_accepts_the_shop(rejected_by: RejectedBy) -> None:
    assert rejected_by(CORRECT) == set()


@checkers
@pytest.mark.timeout(240)
def test_a_checker_rejects_each_marked_line_and_no_other(rejected_by: RejectedBy) -> None:
    assert rejected_by(MISTAKEN) == {
        (str(file), number)
        for file in MISTAKEN
        for number, line in enumerate((ROOT / file).read_text().splitlines(), start=1)
        if "# mistake" in line
    }


def test_the_shop_has_no_mistakes() -> None:
    assert len(orders.checked().steps) == 3
    assert len(invoices.checked().steps) == 1


def test_what_a_shop_waits_for_has_no_mistakes() -> None:
    graph = waits.orders.checked()
    assert [callback.name for callback in graph.callbacks(waits.OrderStatus.AWAITING_PAYMENT)] == [
        "paid",
        "noted",
    ]
    assert len(graph.hooks) == 3


async def test_batch_steps_have_no_mistakes_and_are_tried_alone_by_calling_them() -> None:
    assert len(batches.orders.checked().steps) == 3
    await batches.keep_their_types()


async def test_a_function_that_runs_wait_for_is_tried_alone_by_calling_it() -> None:
    await waits.keep_their_types()
    run = Run(waits.Order(total=3), waits.OrderStatus.PAID, foreign_id="1")
    assert await waits.invoice(run) is waits.OrderStatus.INVOICING
    assert run.data.receipt == "USD-3-3"
    assert [child.foreign_id for child in run.started] == ["invoice-1", "copy-1"]


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
