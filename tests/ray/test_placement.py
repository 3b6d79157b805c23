"""Where the adapter actor may run."""

import pytest

from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.registry import THE_STORE, RayRegistry
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.urls import Urls


@pytest.mark.parametrize(
    ("url", "node"),
    [("sqlite:////tmp/records.db", "first"), ("postgresql://localhost/records", None)],
)
def test_the_adapter_actor_is_pinned_to_its_node_only_if_the_records_are_embedded(
    url: str, node: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def create(*_: object, **options: object) -> None:
        asked.update(options)

    monkeypatch.setattr(actors, "create", create)
    urls = Urls.of(url, None, None)
    RayRegistry(
        Deployed(urls=urls, places=urls.places, store_id="s", namespace="n", node="first")
    ).start(THE_STORE, Deployment(store_id="s"), NOTHING)
    assert asked["node"] == node
