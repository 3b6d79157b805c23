"""Migrations: how data of earlier versions is read, and what a definition checks."""

import json
import random
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from tests.unit.parcels import Parcel, Route
from workflow_ray import Run, Workflow
from workflow_ray.definition.migrations import JsonObject, NewerVersion, NotMigrated
from workflow_ray.errors import InvalidDefinition


class Box(BaseModel):
    grams: int
    label: str = ""


BoxRun = Run[Box, Route]
Stored = JsonObject


def boxes(data_version: int = 3, moved: Any = None) -> Workflow[Box, Route]:
    """Version 1 had `weight` in kilograms, version 2 `grams` as text."""
    workflow = Workflow("boxes", Box, Route, data_version=data_version, moved=moved)

    @workflow.step(Route.NEW)
    async def pack(run: BoxRun) -> Literal[Route.PACKED, Route.SENT, Route.LOST]:
        return Route.PACKED

    return workflow


def migrated() -> Workflow[Box, Route]:
    workflow = boxes()

    @workflow.migrate(2)
    def to_number(data: Stored) -> Stored:
        return {**data, "grams": int(data["grams"])}

    @workflow.migrate(1)
    def to_grams(data: Stored) -> Stored:
        data["grams"] = str(data.pop("weight") * 1000)
        return data

    return workflow


def mistakes_of(workflow: Workflow[Any, Any]) -> list[str]:
    with pytest.raises(InvalidDefinition) as raised:
        workflow.checked()
    return raised.value.mistakes


# --- reading ------------------------------------------------------------------------------------


def test_data_of_each_earlier_version_is_read_through_the_chain() -> None:
    workflow = migrated()
    assert workflow.decode(b'{"weight": 2, "label": "a"}', 1) == Box(grams=2000, label="a")
    assert workflow.decode(b'{"grams": "7"}', 2) == Box(grams=7)
    assert workflow.decode(b'{"grams": 7}', 3) == workflow.decode(b'{"grams": 7}') == Box(grams=7)


def test_data_of_the_current_version_goes_through_no_migration() -> None:
    workflow = migrated()
    assert workflow.migrated(b'{"grams" : 7}', 3) == b'{"grams" : 7}'


def test_migrated_data_that_does_not_fit_the_model_is_unreadable() -> None:
    with pytest.raises(ValidationError):
        migrated().decode(b'{"grams": "7", "label": 1}', 2)


def test_data_of_a_later_version_is_named_with_both_versions() -> None:
    with pytest.raises(NewerVersion, match="it is of version 4, and this code knows version 3"):
        migrated().decode(b"{}", 4)


def test_a_migration_that_raises_is_named_without_the_data() -> None:
    with pytest.raises(NotMigrated) as raised:
        migrated().decode(b'{"grams": "SECRET"}', 2)
    text = str(raised.value)
    assert "the migration to_number from version 2 (" in text
    assert "raised ValueError in line" in text
    assert "SECRET" not in text


def test_a_migration_that_ends_the_process_is_named_too() -> None:
    workflow = boxes(2)

    @workflow.migrate(1)
    def wrong(data: Stored) -> Stored:
        raise SystemExit(1)

    with pytest.raises(NotMigrated, match="raised SystemExit in line"):
        workflow.decode(b"{}", 1)


def test_data_that_was_deleted_can_not_be_migrated() -> None:
    with pytest.raises(NotMigrated, match="0 bytes of version 1 are not JSON"):
        migrated().decode(b"", 1)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (None, "returned a value of type NoneType, not a dict"),
        ([1], "returned a value of type list, not a dict"),
        ({"grams": object()}, "can't be written as JSON"),
    ],
)
def test_a_migration_that_returns_something_else_is_named(result: Any, why: str) -> None:
    workflow = boxes(2)

    @workflow.migrate(1)
    def wrong(data: Stored) -> Stored:
        changed: Stored = result
        return changed

    with pytest.raises(NotMigrated, match=f"the migration wrong from version 1 .*{why}"):
        workflow.decode(b"{}", 1)


def test_numbers_and_text_survive_a_migration_as_they_are() -> None:
    workflow = Workflow("boxes", Parcel, Route, data_version=2)

    @workflow.step(Route.NEW)
    async def pack(run: Run[Parcel, Route]) -> Literal[Route.PACKED, Route.SENT, Route.LOST]:
        return Route.PACKED

    @workflow.migrate(1)
    def same(data: Stored) -> Stored:
        return data

    stored = {"a": 2**70, "b": 0.1, "c": "naïve 🦄", "d": None, "e": [True, {"f": 1e300}]}
    assert json.loads(workflow.migrated(json.dumps(stored).encode(), 1)) == stored


def test_random_chains_apply_each_migration_once_and_in_order() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(30):
        current = rng.randint(1, 12)
        workflow = boxes(current)
        factors = [rng.randint(-5, 5) for _ in range(current)]

        def declare(version: int, factor: int, workflow: Workflow[Box, Route] = workflow) -> None:
            @workflow.migrate(version)
            def step(data: Stored) -> Stored:  # not commutative, so the order shows
                return {"grams": data["grams"] * factor + version}

        order = list(range(1, current))
        rng.shuffle(order)
        for version in order:
            declare(version, factors[version])
        start, grams = rng.randint(1, current), rng.randint(0, 99)
        expected = grams
        for version in range(start, current):
            expected = expected * factors[version] + version
        assert workflow.decode(json.dumps({"grams": grams}).encode(), start).grams == expected


# --- mistakes -----------------------------------------------------------------------------------


def test_each_earlier_version_needs_a_migration() -> None:
    workflow = boxes(4)

    @workflow.migrate(2)
    def two(data: Stored) -> Stored:
        return data

    (mistake,) = mistakes_of(workflow)
    assert mistake == (
        f"{workflow.where}: data_version=4 has no migration from versions 1, 3, so"
        " that older data can't be read; add one with `.migrate(1)`"
    )


def test_a_data_version_that_is_a_date_is_one_short_mistake() -> None:
    (mistake,) = mistakes_of(boxes(10**12))  # a list of all its versions would fill the memory
    assert "no migration from versions 1, 2, 3, 4, 5 and others, so that" in mistake


def test_a_version_has_one_migration() -> None:
    workflow = migrated()

    @workflow.migrate(2)
    def again(data: Stored) -> Stored:
        return data

    (mistake,) = mistakes_of(workflow)
    assert "migration again is one too many: version 2 has the migration to_number at" in mistake


@pytest.mark.parametrize("version", [2, 9])
def test_a_migration_from_the_version_of_the_code_or_a_later_one_is_a_mistake(version: int) -> None:
    workflow = boxes(2)

    @workflow.migrate(1)
    def one(data: Stored) -> Stored:
        return data

    @workflow.migrate(version)
    def future(data: Stored) -> Stored:
        return data

    (mistake,) = mistakes_of(workflow)
    assert f"migration future takes version {version}, and the data is of version 2; set" in mistake
    assert f"data_version={version + 1}" in mistake
    assert __file__ in mistake


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_versions_are_whole_numbers(version: Any) -> None:
    (mistake,) = mistakes_of(boxes(version))
    assert "is not a whole number from 1 up" in mistake
    workflow = boxes(1)

    @workflow.migrate(version)
    def some(data: Stored) -> Stored:
        return data

    (mistake,) = mistakes_of(workflow)
    assert "versions are whole numbers from 1 up" in mistake


def test_a_migration_is_a_plain_function_of_the_data_alone() -> None:
    workflow = boxes(3)

    async def one(data: Stored) -> Stored:
        return data

    def two(data: Stored, more: int) -> Stored:
        return data

    workflow.migrate(1)(one)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    workflow.migrate(2)(two)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    first, second = mistakes_of(workflow)
    assert "migration one is async; make it a plain function" in first
    assert "migration two has a parameter 'more: int' beyond the data" in second


def test_a_migration_without_its_version_is_a_mistake() -> None:
    workflow = boxes(1)

    @workflow.migrate  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def one(data: Stored) -> Stored:
        return data

    (mistake,) = mistakes_of(workflow)
    assert "migration one is declared without the version that it takes" in mistake


def test_a_migration_that_decorates_nothing_is_a_mistake() -> None:
    workflow = boxes(1)
    workflow.migrate(1)
    (mistake,) = mistakes_of(workflow)
    assert "a migration from version 1 has no function" in mistake


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        ({"NEW": Route.SENT}, "moved has 'NEW', which Route still has"),
        ({"OLD": 3}, "moved={'OLD': 3} doesn't lead to a status of Route"),
        ({Route.NEW: Route.SENT}, "moved has the key Route.NEW, which is not a name"),
        ("OLD", "moved='OLD' is not a mapping of names to statuses"),
    ],
)
def test_moved_names_statuses_that_are_gone_and_leads_to_those_that_are_there(
    moved: Any, why: str
) -> None:
    (mistake,) = mistakes_of(boxes(1, moved))
    assert why in mistake
