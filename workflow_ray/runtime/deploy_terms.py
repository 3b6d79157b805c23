"""What a deploy may do that is refused otherwise."""

from dataclasses import dataclass, fields

from workflow_ray.definition.arguments import checked_flag


@dataclass(frozen=True)
class DeployTerms:
    """The options of `Runtime.local` with these names. Raises InvalidInput: one is not a bool."""

    rollback: bool = False
    replace: bool = False
    strand: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            checked_flag(field.name, getattr(self, field.name))


STRICT = DeployTerms()
