"""The statuses of trips and boxes, and their data as three versions of the code have it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from workflow_ray import Status

GRAMS = 1000
"""What each call that notes something adds to the weight of its run."""


class Leg(Status):
    START = 1
    WAIT = 2
    GATHER = 3
    EACH = 4
    DONE = 5
    FAILED = 6


class Box(Status):
    PACKED = 1
    HELD = 2
    SENT = 3


class Chime(Status):
    NEW = 1
    DONE = 2


class BoxPlan(BaseModel):
    """A child that a trip starts."""

    shared: str | None = None  # its foreign id; None: one of its own
    joins: bool = False
    cascades: bool = False
    fate: Literal["sent", "cancelled", "overdue", "held"] = "sent"


class Plan(BaseModel):
    """What a trip is to do."""

    to: Literal["WAIT", "GATHER", "EACH"] = "WAIT"
    boxes: list[BoxPlan] = []
    rounds: int = 0  # how often it may come back to START


class Word(BaseModel):
    """What a callback of a trip or a box is told."""

    label: str
    then: Literal["stay", "again", "wait", "gather", "done", "fail"]


class Tick(BaseModel):
    at: datetime


# --- what tells the versions apart --------------------------------------------------------------


class Noted(BaseModel):
    """`noted` tells what has moved the run, one text for each call that was committed."""

    noted: list[str] = []

    @property
    def weight(self) -> int:
        """The weight in grams."""
        raise NotImplementedError

    def load(self) -> None:
        """Add GRAMS to the weight."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Note what the run was called for. It gets heavier by that."""
        self.noted.append(text)
        self.load()


class InKilograms(Noted):
    """Version 1. A field that is missing is 0, so that a wrong migration does not raise."""

    kilograms: int = 0

    @property
    def weight(self) -> int:
        return self.kilograms * 1000

    def load(self) -> None:
        self.kilograms += GRAMS // 1000


class InGrams(Noted):
    """Version 2."""

    grams: int = 0

    @property
    def weight(self) -> int:
        return self.grams

    def load(self) -> None:
        self.grams += GRAMS


class Load(BaseModel):
    grams: int = 0


class InLoads(Noted):
    """Version 3."""

    loads: Load = Load()

    @property
    def weight(self) -> int:
        return self.loads.grams

    def load(self) -> None:
        self.loads.grams += GRAMS


def to_grams(data: dict[str, Any]) -> dict[str, Any]:
    data["grams"] = data.pop("kilograms") * 1000
    return data


def to_loads(data: dict[str, Any]) -> dict[str, Any]:
    data["loads"] = {"grams": data.pop("grams")}
    return data


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: to_grams, 2: to_loads}
"""By the version that they take."""

# --- the models ---------------------------------------------------------------------------------


class Trip(Plan, Noted):
    """The data of a trip, in any version."""


class Content(Noted):
    """The data of a box, in any version."""

    fate: Literal["sent", "cancelled", "overdue", "held"] = "sent"


class TripInKilograms(Trip, InKilograms): ...


class TripInGrams(Trip, InGrams): ...


class TripInLoads(Trip, InLoads): ...


class ContentInKilograms(Content, InKilograms): ...


class ContentInGrams(Content, InGrams): ...


class ContentInLoads(Content, InLoads): ...


TRIPS: Sequence[type[Trip]] = (TripInKilograms, TripInGrams, TripInLoads)
"""By the version, from 1."""
CONTENTS: Sequence[type[Content]] = (ContentInKilograms, ContentInGrams, ContentInLoads)
NEWEST = len(TRIPS)


def scrubbed(model: type[Trip]) -> Trip:
    """What the scrubber of trips keeps."""
    kept = model()
    kept.note("scrubbed")
    return kept


SCRUBBED = {
    "trips": {n: scrubbed(model).model_dump_json().encode() for n, model in enumerate(TRIPS, 1)}
}
"""What the scrubber of a workflow keeps, if it has one, by the version of its code."""
