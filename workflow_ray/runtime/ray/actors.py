"""Ray's actors, as the rest of this package uses them: named, detached, and addressed by id."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray as partly_typed_ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING

ray: Any = partly_typed_ray  # Ray's annotations leave gaps that strict checkers stop at

SUPERVISOR = "supervisor"
STORE = "store"
FOREVER = -1
"""Ray restarts the actor without a pause, as often as it ends. Only the supervisor has this."""
LONG_POLLS = 10_000
"""Calls that an actor takes at once. Each role and client on another node may wait in some."""


class ActorGone(Exception):
    """The actor does not exist, has died, or can't be reached. The outcome of a call is unknown."""


_remotes: dict[type[object], Any] = {}


@dataclass(frozen=True)
class Actor:
    """An actor, by its id, as handles compare. One that gets its name later is another Actor."""

    handle: Any

    async def ask(self, method: str, *arguments: object) -> Any:
        """Call a method. Raises ActorGone, and what the method raises."""
        try:
            return await getattr(self.handle, method).remote(*arguments)
        except RayActorError as error:
            raise ActorGone(_reason(error)) from error

    def kill(self, *, restart: bool = False) -> None:
        """End its process at once, without clean-up.

        Args:
            restart: Whether Ray starts it again, as far as `restarts` of `create` allows.
        """
        ray.kill(self.handle, no_restart=not restart)


def create(
    kind: type[object],
    arguments: tuple[object, ...],
    *,
    name: str,
    namespace: str,
    node: str | None = None,
    restarts: int = 0,
    asks: RayOptions = NOTHING,
) -> Actor:
    """Start a named actor that outlives its creator.

    Args:
        kind: Its class.
        arguments: Of the class.
        name: Unique in the namespace.
        namespace: The deployment's.
        node: Ray's id of the only node where it may run. None: anywhere. Ray ignores a node that is
            only preferred, and places an actor that needs no CPU at random.
        restarts: How often Ray itself starts it again when its process ends.
        asks: What its node must have free. The actor holds it until it ends.

    Raises:
        ActorGone: The name is taken, or Ray does not answer.
    """
    options: Mapping[str, Any] = {
        "name": name,
        "namespace": namespace,
        "lifetime": "detached",
        **_resources(asks),
        "max_restarts": restarts,
        "max_task_retries": 0,
        "max_concurrency": LONG_POLLS,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)
        if node
        else "DEFAULT",
    }
    try:
        return Actor(_remote(kind).options(**options).remote(*arguments))
    except (RayError, ValueError) as error:
        raise ActorGone(_reason(error)) from error


def _remote(kind: type[object]) -> Any:
    """Return the class as Ray's. Ray exports each of them to the cluster, so it is made once."""
    if kind not in _remotes:
        _remotes[kind] = ray.remote(kind)
    return _remotes[kind]


def _resources(asks: RayOptions) -> dict[str, Any]:
    """Return Ray's options. Those that are not given are left out: Ray refuses some that are 0."""
    more = {
        "num_gpus": asks.num_gpus,
        "memory": asks.memory,
        "resources": dict(asks.resources),
        "accelerator_type": asks.accelerator_type,
    }
    return {"num_cpus": asks.num_cpus} | {name: value for name, value in more.items() if value}


def find(name: str, namespace: str) -> Actor:
    """Find the actor that holds the name now. Raises ActorGone: none does."""
    try:
        return Actor(ray.get_actor(name, namespace=namespace))
    except (RayError, ValueError) as error:
        raise ActorGone(f"no actor {name!r} in namespace {namespace!r}") from error


def names(namespace: str) -> list[str]:
    """Return the names that actors of the namespace hold now."""
    everywhere: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    return sorted(actor["name"] for actor in everywhere if actor["namespace"] == namespace)


def this_node() -> str:
    """Return Ray's id of the node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def namespace_of(records: str) -> str:
    """Return the namespace of the actors of a store's deployment.

    Args:
        records: The store's URL, as `Adapter.canonical` spells it.
    """
    return f"workflow-ray-{hashlib.sha256(records.encode()).hexdigest()[:12]}"


def _reason(error: Exception) -> str:
    """Return Ray's message, which can be pages long, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next(
        (line for line in lines if line.startswith("The actor is dead because")),
        lines[0] if lines else type(error).__name__,
    )
    return said.split(". ")[0]
