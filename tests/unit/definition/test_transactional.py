"""Transactional steps: what they must take, and which stores can run them."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from workflow_ray import Run, Runtime, Status, Workflow
from workflow_ray.errors import InvalidDefinition, InvalidInput
from workflow_ray.runtime.transactional import check_transactional
from workflow_ray.testing import WorkflowTester


class At(Status):
    NEW = 1
    DONE = 2


class Order(BaseModel):
    total: int = 0


def orders() -> Workflow[Order, At]:
    return Workflow("orders", Order, At)


def plain() -> Workflow[Order, At]:
    workflow = orders()

    @workflow.step(At.NEW, transactional=True)
    def book(run: Run[Order, At], session: Session) -> Literal[At.DONE]:
        return At.DONE

    return workflow


def for_server() -> Workflow[Order, At]:
    workflow = orders()

    @workflow.step(At.NEW, transactional=True)
    async def book(run: Run[Order, At], db: "AsyncSession") -> Literal[At.DONE]:
        return At.DONE

    return workflow


def test_the_parameter_is_found_by_its_annotation() -> None:
    for workflow, name in ((plain(), "session"), (for_server(), "db")):
        step = workflow.checked().step(At.NEW)
        assert step is not None
        assert step.session == name


def test_a_step_is_not_transactional_unless_it_says_so() -> None:
    workflow = orders()

    @workflow.step(At.NEW)
    async def book(run: Run[Order, At], session: AsyncSession) -> Literal[At.DONE]:
        return At.DONE

    with pytest.raises(InvalidDefinition, match=r"a parameter 'session: .*' beyond the run"):
        workflow.checked()


def test_a_transactional_step_takes_a_session() -> None:
    workflow = orders()

    @workflow.step(At.NEW, transactional=True)
    async def book(run: Run[Order, At]) -> Literal[At.DONE]:
        return At.DONE

    with pytest.raises(InvalidDefinition, match=r"takes no session; .* `session: AsyncSession`"):
        workflow.checked()


def test_a_plain_function_takes_a_plain_session() -> None:
    workflow = orders()

    @workflow.step(At.NEW, transactional=True)
    def book(run: Run[Order, At], session: AsyncSession) -> Literal[At.DONE]:
        return At.DONE

    with pytest.raises(InvalidDefinition, match="`session: Session`"):
        workflow.checked()


@pytest.mark.parametrize("given", [None, 1, "yes"])
def test_transactional_is_true_or_false(given: Any) -> None:
    workflow = orders()

    @workflow.step(At.NEW, transactional=given)
    async def book(run: Run[Order, At]) -> Literal[At.DONE]:
        return At.DONE

    with pytest.raises(InvalidDefinition, match=r"can't have transactional=.*; use True or False"):
        workflow.checked()


@pytest.mark.parametrize("url", ["postgresql://host/shop", "mariadb://host/shop"])
def test_a_server_runs_async_ones(url: str) -> None:
    check_transactional([for_server()], url)
    check_transactional([for_server()], url, elsewhere=True)
    with pytest.raises(InvalidInput, match=r"records: orders: .* must be an async one"):
        check_transactional([plain()], url)


def test_a_file_runs_plain_ones_in_the_process_that_has_it_open() -> None:
    check_transactional([plain()], "sqlite:///shop.db")
    with pytest.raises(InvalidInput, match="must be a plain one that takes a Session"):
        check_transactional([for_server()], "sqlite:///shop.db")
    with pytest.raises(InvalidInput, match="use PostgreSQL or MariaDB on Ray"):
        check_transactional([plain()], "sqlite:///shop.db", elsewhere=True)


@pytest.mark.parametrize("url", ["memory://shop", "redis://host/1"])
def test_other_stores_run_none(url: str) -> None:
    with pytest.raises(InvalidInput, match="has no transactions: use PostgreSQL, MariaDB or SQL"):
        check_transactional([plain()], url)


async def test_nothing_is_made_where_they_can_not_run(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with pytest.raises(InvalidInput, match="is transactional"):
        async with Runtime.local(for_server(), records=file):
            pass
    assert not file.exists()
    with pytest.raises(InvalidInput, match="is transactional"):
        async with WorkflowTester(plain()):
            pass
