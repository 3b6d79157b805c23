"""Which unfinished runs could not go on after a deploy, as far as the definitions tell. Pure."""

from collections.abc import Collection, Iterator, Mapping

from workflow_ray.engine.shapes import CHILD, CHILDREN, STEP, TIMEOUT
from workflow_ray.errors.deploys import StrandedRuns
from workflow_ray.records import DeployedWorkflow, Shape, consumer_group

UNKNOWN = Shape()


def counted(runs: int) -> str:
    """Format a number of unfinished runs."""
    return "1 unfinished run" if runs == 1 else f"{runs:,} unfinished runs"


def gone_statuses(before: DeployedWorkflow, after: DeployedWorkflow) -> dict[str, int]:
    """Return the statuses of all earlier code that the new code does not have, by name.

    A number that the new code uses is not gone: the status was renamed.
    """
    earlier = {**(before.shape or UNKNOWN).gone, **before.statuses}
    numbers = set(after.statuses.values())
    return {
        name: number
        for name, number in earlier.items()
        if name not in after.statuses and number not in numbers
    }


def stranded(
    before: DeployedWorkflow,
    after: DeployedWorkflow,
    unfinished: Mapping[int, int],
    moved: Collection[str] = (),
) -> list[StrandedRuns]:
    """Find what a deploy would take away from runs.

    Args:
        before: The workflow as it is deployed.
        after: The workflow as it would be deployed.
        unfinished: The number of unfinished runs at each status that has some.
        moved: The names of statuses whose runs a bulk job moves after the deploy.
    """
    return [
        *_older_data(before, after, sum(unfinished.values())),
        *_at_gone_statuses(before, after, unfinished, moved),
        *_without_functions(before, after, unfinished),
    ]


def _older_data(
    before: DeployedWorkflow, after: DeployedWorkflow, runs: int
) -> Iterator[StrandedRuns]:
    if before.shape is None or after.shape is None:
        return
    stored, known = before.shape.data_version, after.shape.data_version
    if stored > known:
        yield StrandedRuns(
            after.name,
            f"data_version goes back from {stored} to {known}, and {counted(runs)} may have data of"
            f" version {stored}, which this code can't read",
            runs,
            f"deploy code that knows version {stored}; to go back, make the earlier model version"
            f" {stored + 1}, with a migration",
        )


def _at_gone_statuses(
    before: DeployedWorkflow,
    after: DeployedWorkflow,
    unfinished: Mapping[int, int],
    moved: Collection[str],
) -> Iterator[StrandedRuns]:
    example = next(iter(after.statuses), "NAME")
    for name, number in gone_statuses(before, after).items():
        runs = unfinished.get(number, 0)
        if runs and name not in moved:
            yield StrandedRuns(
                after.name,
                f"status {name} = {number} is gone, and {counted(runs)} stand at it",
                runs,
                "put it back, or have them moved to another status, for example"
                f' moved={{"{name}": Status.{example}}} in the workflow',
            )


def _without_functions(
    before: DeployedWorkflow, after: DeployedWorkflow, unfinished: Mapping[int, int]
) -> Iterator[StrandedRuns]:
    for name, number in after.statuses.items():
        if runs := unfinished.get(number, 0):
            for lost, effect in _lost(before, after, number):
                yield StrandedRuns(
                    after.name,
                    f"{name} has lost {lost}, and {counted(runs)} stand at it{effect}",
                    runs,
                    "put it back, or first move or cancel these runs: `workflow-ray runs move` and"
                    f" `workflow-ray runs cancel`, with --workflow {after.name} --status {name}",
                )


def _lost(
    before: DeployedWorkflow, after: DeployedWorkflow, number: int
) -> Iterator[tuple[str, str]]:
    """What a status that stays has lost, and what happens to its runs."""
    group = consumer_group(after.name, number)
    if group in before.groups and group not in after.groups:
        yield "all its functions", ", where nothing would move them"
        return
    if before.shape is None or after.shape is None:
        return
    had, has = functions_at(before.shape, number), functions_at(after.shape, number)
    steps = [name for name in had if name.startswith(STEP)]
    if steps and not any(name.startswith(STEP) for name in has):
        yield f"its {steps[0]}", ", waiting for that step"
    for name in had - has:
        if name.startswith((TIMEOUT, CHILD, CHILDREN)):
            yield f"its {name}", "; what they wait for would pause them with an error"


def functions_at(shape: Shape, number: int) -> set[str]:
    """Return the functions for runs at a status, each with its kind."""
    return {name for name, status, _ in shape.functions if status == number}
