"""The places of records, events and timeouts: given by the caller or by the environment."""

import pickle
from pathlib import Path

import pytest

from workflow_ray import Runtime
from workflow_ray.errors import InvalidInput, UnknownScheme
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.urls import EVENTS, RECORDS, TIMEOUTS, Places, Urls, records_url

SECRET = "postgresql://shop:pass-phrase@db/shop"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RECORDS", "EVENTS", "TIMEOUTS"):
        monkeypatch.delenv(f"WORKFLOW_RAY_{name}", raising=False)


def test_records_are_where_the_caller_or_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert records_url(None) == "sqlite:///workflow.db"
    monkeypatch.setenv("WORKFLOW_RAY_RECORDS", "sqlite:///shop.db")
    assert records_url(None) == "sqlite:///shop.db"
    assert records_url("memory://given") == "memory://given"


def test_events_and_timeouts_are_where_the_records_are_unless_somebody_says_otherwise() -> None:
    assert Urls.of() == Urls(
        "sqlite:///workflow.db", "sqlite:///workflow.db", "sqlite:///workflow.db"
    )
    assert Urls.of("memory://a") == Urls("memory://a", "memory://a", "memory://a")
    assert Urls.of("memory://a", timeouts="memory://b") == Urls(
        "memory://a", "memory://a", "memory://b"
    )


def test_what_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_RAY_EVENTS", "kafka://broker")
    monkeypatch.setenv("WORKFLOW_RAY_TIMEOUTS", "redis://cache")
    assert Urls.of("memory://a") == Urls("memory://a", "kafka://broker", "redis://cache")
    assert Urls.of("memory://a", "memory://b", "memory://c") == Urls(
        "memory://a", "memory://b", "memory://c"
    )


def test_a_runtime_opens_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_RAY_TIMEOUTS", "redis://cache")
    for made in (Runtime.local, Runtime.ray):
        assert made(records="memory://a", events="memory://b").urls == Urls(
            "memory://a", "memory://b", "redis://cache"
        )


def test_no_password_is_in_a_repr() -> None:
    urls = Urls(SECRET, SECRET, SECRET)
    deployed = Deployed(
        urls=urls, places=Places("a", "b", "c"), store_id="s", namespace="n", node="1"
    )
    for shown in (repr(urls), str(urls), f"{deployed}", repr(deployed), repr([deployed])):
        assert "pass-phrase" not in shown


def test_an_actor_gets_the_passwords() -> None:
    urls: Urls = pickle.loads(pickle.dumps(Urls(SECRET, SECRET, SECRET)))  # noqa: S301  these bytes are our own
    assert urls.records == SECRET


def test_places_are_named_once_each() -> None:
    assert str(Places("sqlite:////a.db", "sqlite:////a.db", "sqlite:////a.db")) == "sqlite:////a.db"
    assert (
        str(Places("sqlite:////a.db", "kafka://k", "sqlite:////a.db"))
        == "sqlite:////a.db, events on kafka://k"
    )


def test_for_other_processes_a_file_is_named_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    urls = Urls.of("sqlite:///shop.db").absolute()
    assert urls.records == urls.events == f"sqlite:///{tmp_path.resolve()}/shop.db"


def test_what_is_in_memory_is_refused_where_there_are_several_processes() -> None:
    urls = Urls.of("sqlite:///shop.db", timeouts="memory://shop")
    with pytest.raises(InvalidInput, match=r"memory://shop: is kept by one process"):
        urls.checked_for_several()


def test_places_of_unknown_schemes_there_are_none() -> None:
    with pytest.raises(UnknownScheme, match="oracle"):
        _ = Urls.of("memory://a", "oracle://b").places


@pytest.mark.parametrize("variable", [RECORDS, EVENTS, TIMEOUTS])
def test_a_url_of_the_environment_is_checked_by_the_variables_name(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "shop.db")
    with pytest.raises(InvalidInput, match=f"^{variable}: it has no scheme; give a URL, e.g. "):
        Urls.of()


def test_a_path_as_text_is_refused_with_the_ways_to_name_a_file() -> None:
    with pytest.raises(InvalidInput, match=r"^records: it has no .*sqlite:///shop\.db .*pathlib"):
        records_url("/srv/shop.db")
