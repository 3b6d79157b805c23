"""Which adapter answers to a URL, and what is said where none does."""

import itertools
from importlib.metadata import EntryPoint

import pytest

from workflow_ray.errors import (
    AdapterNotInstalled,
    InvalidInput,
    UnfitAdapter,
    UnknownScheme,
    WorkflowError,
)
from workflow_ray.ports import (
    adapter_for,
    adapters,
    events_adapter,
    records_adapter,
    scheme_of,
    timeouts_adapter,
)
from workflow_ray.ports.adapters import GROUP, OURS


class NothingAdapter:
    """A third party's, which holds nothing."""

    def canonical(self, url: str) -> str:
        return url

    def create(self, url: str) -> str:
        return url


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that answers to nothing://"""

    def entry_points(*, group: str) -> list[EntryPoint]:
        return (
            [EntryPoint("nothing", f"{__name__}:NothingAdapter", GROUP)] if group == GROUP else []
        )

    monkeypatch.setattr(adapters, "entry_points", entry_points)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("sqlite:///shop.db", "sqlite"),
        ("postgresql+asyncpg://db/shop", "postgresql"),
        ("REDIS://cache/0", "redis"),
        ("memory:shop", "memory"),
        ("shop.db", "shop.db"),
        ("", ""),
    ],
)
def test_the_scheme_says_which_adapter_and_a_driver_in_it_does_not_count(
    url: str, scheme: str
) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize("scheme", [*sorted(OURS.keys() - {"memory"}), "unknown"])
@pytest.mark.parametrize("rest", ["@host:1/shop", "@host/0?prefix=x", "@:x/0", "@ho st"])
def test_no_piece_of_a_password_is_shown_whatever_marks_are_in_it(scheme: str, rest: str) -> None:
    for first, second in itertools.product("@?#/:%& [\\", repeat=2):
        url = f"{scheme}://user:open{first}sesame{second}barley{rest}"
        try:
            shown = adapter_for(url).canonical(url)
        except WorkflowError as refused:
            shown = f"{refused} {refused!r} {refused.__context__!r}"
        assert not {piece for piece in ("open", "sesame", "barley") if piece in shown}, url


def test_a_url_without_a_scheme_is_not_shown_where_it_may_hold_a_password() -> None:
    with pytest.raises(InvalidInput, match="begin it with a scheme") as refused:
        adapter_for("sesame@host:5432/shop")
    assert "sesame" not in str(refused.value)


def test_an_unknown_scheme_lists_the_known_ones_each_with_its_extra(theirs: None) -> None:
    with pytest.raises(UnknownScheme) as unknown:
        adapter_for("cassandra://db/shop")
    line = str(unknown.value)
    assert line.startswith("no adapter for 'cassandra'.")
    assert (
        "memory, mysql [mariadb], nothing, postgresql [postgresql], redis [redis], rediss [redis],"
        " sqlite" in line
    )
    assert "pip install 'workflow-ray[kafka]'" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("scheme", "extra"), [(scheme, extra) for scheme, (_, extra) in OURS.items() if extra]
)
def test_an_adapter_without_its_library_says_which_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    monkeypatch.setitem(OURS, scheme, (f"workflow_ray_adapters.nowhere_{extra}:Adapter", extra))
    with pytest.raises(
        AdapterNotInstalled,
        match=rf"^{scheme}: .* Install it: pip install 'workflow-ray\[{extra}\]'$",
    ):
        adapter_for(f"{scheme}://somewhere")


def test_a_third_partys_adapter_is_found_by_its_entry_point(theirs: None) -> None:
    assert isinstance(adapter_for("nothing://somewhere"), NothingAdapter)


def test_an_adapter_is_refused_for_what_it_does_not_hold(theirs: None) -> None:
    for asked, what in (
        (records_adapter, "records"),
        (events_adapter, "events"),
        (timeouts_adapter, "timeouts"),
    ):
        with pytest.raises(
            UnfitAdapter, match=f"^nothing: it holds no {what}. Name another URL for the {what}.$"
        ):
            asked("nothing://somewhere")
