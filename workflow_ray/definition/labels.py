"""Labels: short texts by which runs are found, such as the tenant that a run belongs to."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import cast

from workflow_ray.definition.arguments import checked_text
from workflow_ray.errors import InvalidInput
from workflow_ray.records import flaw_of_labels


class Labels(MutableMapping[str, str]):
    """The labels of a run, by name. A step that sets or deletes one changes the run's.

    A change is committed with what the step returns. When the step raises, it is dropped.
    """

    __slots__ = ("_before", "_labels", "_refuse")

    def __init__(
        self, labels: Mapping[str, str], refuse: Callable[[str], object] | None = None
    ) -> None:
        """Make the labels of a run.

        Args:
            labels: As they are stored.
            refuse: Raises the error of those that can't be changed. None: they can.
        """
        self._before = labels
        self._labels = dict(labels)
        self._refuse = refuse

    def __getitem__(self, name: str) -> str:
        return self._labels[name]

    def __setitem__(self, name: str, value: str) -> None:
        """Set a label. Raises InvalidInput: not every database could store and index it."""
        self._check_changeable()
        self._labels = checked_labels("run.labels", {**self._labels, name: value})

    def __delitem__(self, name: str) -> None:
        self._check_changeable()
        del self._labels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return repr(self._labels)

    def changed(self) -> dict[str, str] | None:
        """Return all labels as they are now. None: they are as they were at first."""
        return None if self._labels == self._before else dict(self._labels)

    def _check_changeable(self) -> None:
        if self._refuse is not None:
            self._refuse("run.labels")


def checked_labels(what: str, given: object) -> dict[str, str]:
    """Return labels that every database can store and index. Raises InvalidInput.

    Args:
        what: Names the argument in the error.
        given: What the caller handed in.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput(
            what, f'give a mapping, such as {{"tenant": "acme"}}, not {type(given).__name__}'
        )
    labels = {
        checked_text(f"{what}, a name", name): checked_text(f"{what}[{name!r}]", value)
        for name, value in cast(Mapping[object, object], given).items()
    }
    if why := flaw_of_labels(labels):
        raise InvalidInput(what, why)
    return labels
