"""What one version of a workflow's code changes against another, as deployments tell it. Pure."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from workflow_ray.records import (
    DeployedFlow,
    DeployedWorkflow,
    FlowLimits,
    Rate,
    Shape,
    connector_group,
    consumer_group,
    hooks_group,
    named_groups,
    paused_retry_group,
    scheduler_group,
)


class Sign(StrEnum):
    """How something changes."""

    ADDED = "added"
    GONE = "gone"
    CHANGED = "changed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a definition."""

    kind: str  # status, function, shards, partitions, data version, data model and so on
    change: Sign
    what: str  # its name, and where it belongs
    before: str = ""
    after: str = ""
    runs: int = 0  # the unfinished runs that it concerns
    finished: int = 0  # of a codec: the finished runs that only it decodes, of those that were read
    read: int = 0  # of a codec: how many finished runs were read


def changes_of(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> list[Change]:
    """List what a deploy would change.

    Args:
        before: The workflow as it is deployed.
        after: The workflow as it would be deployed.
        unfinished: The number of unfinished runs at each status that has some.
    """
    found = [
        *_of_statuses(before, after, unfinished),
        *_of_flow_control(before, after, unfinished),
        *_of_functions(before, after, unfinished),
        *_of_data(before, after, sum(unfinished.values())),
        *_of_groups(before, after, unfinished),
    ]
    if not found and before.code != after.code:
        found.append(Change(kind="code", change=Sign.CHANGED, what="of the functions"))
    return found


def kept_settings(before: DeployedWorkflow, after: DeployedWorkflow) -> list[str]:
    """Name the settings of operators that stay as they are."""
    scaled = {group: shards for group, shards in before.scaled.items() if group in after.groups}
    return [
        *(f"{_of_group(group, after)}: {shards} shards" for group, shards in scaled.items()),
        *(f"limits of {name}" for name in before.limits if name in after.flow),
        *(
            f"schedule {name}: paused"
            for name in before.paused
            if scheduler_group(after.name, name) in after.groups
        ),
    ]


def _of_statuses(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> Iterator[Change]:
    renamed = _renamed(before, after)
    for name, number in after.statuses.items():
        stored = before.statuses.get(name)
        if name in renamed:
            yield Change(
                kind="status",
                change=Sign.CHANGED,
                what=str(number),
                before=renamed[name],
                after=name,
                runs=unfinished.get(number, 0),
            )
        elif stored is None:
            yield Change(kind="status", change=Sign.ADDED, what=f"{name} = {number}")
        elif stored != number:
            yield Change(
                kind="status",
                change=Sign.CHANGED,
                what=name,
                before=str(stored),
                after=str(number),
                runs=unfinished.get(stored, 0),
            )
    for name, number in before.statuses.items():
        if name not in after.statuses and name not in renamed.values():
            runs = unfinished.get(number, 0)
            yield Change(kind="status", change=Sign.GONE, what=f"{name} = {number}", runs=runs)


def _of_flow_control(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> Iterator[Change]:
    for name in before.limits:
        if name not in after.flow:
            yield Change(kind="limits", change=Sign.GONE, what=f"of {name}, set by an operator")
    for name in sorted(before.flow.keys() | after.flow.keys()):
        had, has = before.flow.get(name), after.flow.get(name)
        if had != has:
            sign = Sign.ADDED if had is None else Sign.GONE if has is None else Sign.CHANGED
            yield Change(
                kind="flow control",
                change=sign,
                what=f"of {name}",
                before=_limits(had),
                after=_limits(has),
                runs=unfinished.get(before.statuses.get(name, 0), 0),
            )


def _renamed(before: DeployedWorkflow, after: DeployedWorkflow) -> dict[str, str]:
    """The statuses that keep their number and have another name: the new name -> the old one."""
    numbers = {number: name for name, number in before.statuses.items()}
    return {
        name: numbers[number]
        for name, number in after.statuses.items()
        if name not in before.statuses
        and number in numbers
        and numbers[number] not in after.statuses
    }


def _limits(flow: DeployedFlow | None) -> str:
    """Format the limits of the code, such as "concurrency 5, rate 10 in 1 s"."""
    if flow is None:
        return ""
    parts: list[str] = []
    for name in FlowLimits.__struct_fields__:
        limit: object = getattr(flow.limits, name)
        if isinstance(limit, Rate):
            parts.append(f"{name} {limit.count} in {limit.seconds:g} s")
        elif limit is not None:
            parts.append(f"{name} {limit}")
    return ", ".join([*parts, "by key"] if flow.keyed else parts) or "no limits"


def _of_functions(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> Iterator[Change]:
    if before.shape is None or after.shape is None:  # earlier code did not store its functions
        return
    names = _names(before, after)
    had, has = _functions(before.shape), _functions(after.shape)
    for key in sorted(had.keys() | has.keys(), key=lambda key: (key[1], key[0])):
        name, number = key
        if had.get(key) == has.get(key):
            continue
        sign = Sign.ADDED if key not in had else Sign.GONE if key not in has else Sign.CHANGED
        yield Change(
            kind="function",
            change=sign,
            what=f"{name} of {names.get(number, number)}",
            before=_listed(had.get(key, ()), names),
            after=_listed(has.get(key, ()), names),
            runs=0 if sign is Sign.ADDED else unfinished.get(number, 0),
        )


def _functions(shape: Shape) -> dict[tuple[str, int], tuple[int, ...]]:
    return {(name, number): targets for name, number, targets in shape.functions}


def _listed(targets: tuple[int, ...], names: Mapping[int, str]) -> str:
    return ", ".join(names.get(target, str(target)) for target in targets)


def _names(before: DeployedWorkflow, after: DeployedWorkflow) -> dict[int, str]:
    return {number: name for each in (before, after) for name, number in each.statuses.items()}


def _of_data(before: DeployedWorkflow, after: DeployedWorkflow, runs: int) -> Iterator[Change]:
    if before.shape is None or after.shape is None:
        return
    stored, known = before.shape.data_version, after.shape.data_version
    if stored != known:
        yield Change(
            kind="data version",
            change=Sign.CHANGED,
            what="of the runs",
            before=str(stored),
            after=str(known),
            runs=runs,
        )
    if before.shape.model != after.shape.model:
        what = "of the runs: another JSON schema"
        yield Change(kind="data model", change=Sign.CHANGED, what=what, runs=runs)


def _of_groups(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> Iterator[Change]:
    if before.partitions != after.partitions:
        yield Change(
            kind="partitions",
            change=Sign.CHANGED,
            what="of the workflow",
            before=str(before.partitions),
            after=str(after.partitions),
            runs=sum(unfinished.values()),
        )
    for group, shards in after.groups.items():
        if (stored := before.groups.get(group, shards)) != shards:
            yield Change(
                kind="shards",
                change=Sign.CHANGED,
                what=f"of {_of_group(group, after)}",
                before=str(stored),
                after=str(shards),
            )
    had, has = _handlers(before), _handlers(after)
    for kind, name in sorted(had ^ has):
        sign = Sign.GONE if (kind, name) in had else Sign.ADDED
        yield Change(kind=kind, change=sign, what=name)


def _handlers(workflow: DeployedWorkflow) -> set[tuple[str, str]]:
    """The schedules, connectors and further roles of a workflow, with their kinds."""
    name, groups = workflow.name, workflow.groups
    schedules = named_groups(groups, scheduler_group, name)
    connectors = named_groups(groups, connector_group, name)
    others = {hooks_group(name): "hooks", paused_retry_group(name): "retry of paused runs"}
    return {
        *(("schedule", each) for each in schedules),
        *(("connector", each) for each in connectors),
        *(("role", what) for group, what in others.items() if group in groups),
    }


def _of_group(group: str, workflow: DeployedWorkflow) -> str:
    """Name what a group works for."""
    for name, number in workflow.statuses.items():
        if consumer_group(workflow.name, number) == group:
            return name
    for name, own in named_groups(workflow.groups, connector_group, workflow.name).items():
        if own == group:
            return f"connector {name}"
    return group
