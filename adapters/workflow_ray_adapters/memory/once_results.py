"""Results of `once`, for the current visits of runs."""

from collections.abc import Iterable

from workflow_ray.records import OnceResult, RunId


class OnceResults:
    def __init__(self) -> None:
        self._results: dict[RunId, dict[str, OnceResult]] = {}

    def keep(self, result: OnceResult) -> OnceResult:
        """Keep the result unless its name has one, and return the one that is kept."""
        return self._results.setdefault(result.run_id, {}).setdefault(result.name, result)

    def remove(self, run_id: RunId) -> None:
        self._results.pop(run_id, None)

    def of(self, run_ids: Iterable[RunId]) -> list[OnceResult]:
        return [result for run_id in run_ids for result in self._results.get(run_id, {}).values()]
