"""Statements that are joined with rows: their text, and how the server runs them."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, cast

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.engine.interfaces import DBAPICursor

from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql import counters, erasing, record_statements, removals, timeouts
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.mariadb.dialect import MARIADB
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Compiled, Values

from .conftest import Opener

UPDATED = dict.fromkeys(
    (*record_statements.PLAIN, *record_statements.INDEXED, "new_awaited", "before"), 1
)
EXTENDED = dict.fromkeys((*record_statements.EXTENSIONS, *record_statements.FLOW))
TIMEOUT = {"of_run": "r", "of_visit": 1, "named": "n", "at": 1}
COUNTER = {"of_workflow": "w", "of_status": 1, "of_run_state": 1, "of_writer": "p"}
STATEMENTS: dict[Callable[[Dialect], ClauseElement], Values] = {
    record_statements.go_on: UPDATED | {"run": "r", "new_data": b"x"},
    record_statements.settle: UPDATED | {"run": "r", "new_data": b"x"},
    record_statements.finish: UPDATED | {"run": "r", "new_data": None},
    record_statements.rewrite: UPDATED | EXTENDED | {"run": "r", "new_data": b"x"},
    record_statements.finish_rewritten: UPDATED | EXTENDED | {"run": "r", "new_data": None},
    erasing._clear_entries: {"run": "r", "first": 3},  # pyright: ignore[reportPrivateUsage]  # their text is what is tried
    removals._trim_history: {"run": "r", "last": 3},  # pyright: ignore[reportPrivateUsage]  # as above
    removals._remove_key: {"of_workflow": "w", "of_key": "k", "of_run": "r"},  # pyright: ignore[reportPrivateUsage]  # as above
    timeouts._complete: TIMEOUT,  # pyright: ignore[reportPrivateUsage]  # as above
    timeouts._forget: TIMEOUT,  # pyright: ignore[reportPrivateUsage]  # as above
    counters.RUNS.forget: COUNTER,
}


class Cursor:
    """A cursor that notes what it is asked to execute."""

    def __init__(self) -> None:
        self.executed: list[tuple[str, Sequence[object]]] = []

    def execute(self, sql: str, parameters: Sequence[object]) -> None:
        self.executed.append((sql, parameters))


def executed(statement: Compiled, rows: Sequence[Values]) -> list[tuple[str, Sequence[object]]]:
    cursor = Cursor()
    MARIADB.run(cast(DBAPICursor, cursor), statement, rows)
    return cursor.executed


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_goes_to_the_driver_as_it_was_compiled_for_any_number_of_rows(
    statement: Callable[[Dialect], ClauseElement],
) -> None:
    compiled = Compiled(statement(MARIADB), MARIADB.driver)
    for number in (1, 2, 500):
        ((sql, parameters),) = executed(compiled, [STATEMENTS[statement]] * number)
        assert (sql, len(parameters)) == (compiled.sql, len(compiled.names))


@pytest.mark.server
async def test_a_joined_statement_reads_only_the_rows_of_its_keys_in_a_small_table_too(
    opened: Opener,
) -> None:
    """The server would lock every row that it reads."""

    def plans(session: Session) -> list[Any]:
        found = list[Any]()
        with closing(session.connection.connection.cursor()) as cursor:
            for statement, row in STATEMENTS.items():
                compiled = Compiled(statement(MARIADB), MARIADB.driver)
                ((sql, parameters),) = executed(compiled, [row])
                cursor.execute(f"EXPLAIN {sql}", parameters)
                found += [(step[2], step[3]) for step in cursor.fetchall()]
        return found

    async with opened() as store:
        await store_all(store, *(new_run() for _ in range(3)))
        steps = await store._writer.call(plans)  # pyright: ignore[reportPrivateUsage]  # its plans are what is tried
    tables = {table: kind for table, kind in steps if table != "given"}
    one_row = ("records", "timeouts", "counters", "idempotency_keys")
    assert tables == dict.fromkeys(one_row, "eq_ref") | {"history": "ref"}
