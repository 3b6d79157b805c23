"""What the actor of a role asks of a Ray cluster."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from workflow_ray.definition.arguments import is_number, shown
from workflow_ray.errors import InvalidInput

BUILT_IN = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Resources of Ray that have an argument of their own."""
OF_RAY = ("object_store_memory", "bundle")
"""Names of resources that Ray refuses."""
SMALLEST = 0.0001
"""Ray counts resources in steps of this size."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    """What each actor that runs a step asks of a Ray cluster.

    The actor starts on a node that has all of it free, and holds it until it ends. If no node has
    it, the actor waits for one, `workflow-ray status` says for what, and the other roles run. The
    local runtime ignores these options.

    Args:
        num_cpus: CPUs. By default an actor counts as using none. Above 1 a whole number, as all
            amounts.
        num_gpus: GPUs. An actor with less than 1 shares one with other actors.
        memory: Bytes. Ray counts them, and limits no process by them.
        resources: Amounts of custom resources, by the names that nodes were started with.
        accelerator_type: The type of the GPU, as Ray names it, e.g. "A100".

    Raises:
        InvalidInput: An argument can't be used.
    """

    num_cpus: float = 0
    num_gpus: float = 0
    memory: int = 0
    resources: Mapping[str, float] = field(default_factory=dict[str, float])
    accelerator_type: str | None = None

    def __post_init__(self) -> None:
        _check_amount("num_cpus", self.num_cpus)
        _check_amount("num_gpus", self.num_gpus)
        if type(self.memory) is not int or self.memory < 0:
            raise _wrong("memory", self.memory, "give bytes, a whole number from 0 up")
        _check_resources(self.resources)
        _check_type(self.accelerator_type)
        # A copy, because the caller may change its mapping later.
        object.__setattr__(self, "resources", dict(self.resources))

    def __str__(self) -> str:
        """What it asks for, as it is written, e.g. "num_gpus=1". Empty if it asks for nothing."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return ", ".join(f"{name}={value!r}" for name, value in given.items() if value)


def _check_type(name: object) -> None:
    if name is not None and (not isinstance(name, str) or not name):
        raise _wrong("accelerator_type", name, 'give its name in Ray, e.g. "A100", or leave it out')


def _check_resources(resources: Any) -> None:
    if not _is_a(resources, Mapping):
        raise _wrong("resources", resources, 'give amounts by name, e.g. {"ssd": 1}')
    for name, amount in resources.items():
        if not isinstance(name, str) or not name:
            raise _wrong("resources", name, "the name of a resource is text")
        if name in BUILT_IN:
            raise _wrong("resources", name, f"give {BUILT_IN[name]}= instead")
        if name in OF_RAY:
            raise _wrong("resources", name, "Ray uses this name itself; take another one")
        _check_amount(f"resources, {shown(name)}", amount, least=SMALLEST)


def _check_amount(name: str, amount: object, *, least: float = 0) -> None:
    if not is_number(amount) or not least <= amount < math.inf or 0 < amount < SMALLEST:
        raise _wrong(name, amount, f"give a number; the smallest amount is {SMALLEST:g}")
    if amount > 1 and amount != int(amount):
        raise _wrong(name, amount, "an amount above 1 is a whole number")


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _wrong(name: str, value: object, why: str) -> InvalidInput:
    return InvalidInput(f"RayOptions({name}={shown(value)})", why)


NOTHING = RayOptions()
"""What an actor asks for if its step does not say it."""
