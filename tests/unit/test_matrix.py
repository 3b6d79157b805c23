"""docs/adapters.md: what it shows, and that it is the page of today's suites."""

from collections import Counter

from tests.matrix import ABSENT, ADAPTERS, FAILED, PAGE, PASSED, Cell, cases, page, suites, title

SUITE = "TimeoutStore"
ONE, TWO = cases(suites()[SUITE])[:2]


def rows(text: str) -> list[list[str]]:
    """The tables' lines, by cell, without their heads."""
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| case ")
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_lists_todays_cases_and_none_failed() -> None:
    written = PAGE.read_text()
    assert [row[0] for row in rows(written)] == [
        title(case) for suite in suites().values() for case in cases(suite)
    ], "run `make matrix`"
    assert FAILED not in written


def test_no_case_hides_another_of_the_same_name() -> None:
    """An adapter's test class combines suites. Of two cases with one name only the first runs."""
    count = Counter(case for suite in suites().values() for case in cases(suite))
    assert [case for case, suites_with_it in count.items() if suites_with_it > 1] == []


def test_a_case_shows_the_worst_result_of_its_variants() -> None:
    outcomes = {
        Cell(SUITE, ONE, "memory"): {PASSED},
        Cell(SUITE, ONE, "sqlite"): {PASSED, "lacks faults: no connection"},
        Cell(SUITE, ONE, "redis"): {PASSED, FAILED, "lacks faults: no connection"},
        Cell(SUITE, TWO, "memory"): {"lacks openings: one process"},
        Cell(SUITE, TWO, "sqlite"): {"lacks faults: no connection"},
    }
    text = page(outcomes)
    shown = {row[0]: dict(zip(ADAPTERS.values(), row[1:], strict=True)) for row in rows(text)}
    first = {"memory": PASSED, "sqlite": "lacks (1)", "redis": FAILED}
    assert shown[title(ONE)] == dict.fromkeys(ADAPTERS.values(), ABSENT) | first
    assert shown[title(TWO)] == dict.fromkeys(ADAPTERS.values(), ABSENT) | {
        "memory": "lacks (2)",
        "sqlite": "lacks (1)",
    }
    assert "\n1. lacks faults: no connection\n2. lacks openings: one process\n" in text
