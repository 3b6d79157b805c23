"""A workflow whose runs start children, and another whose runs are these."""

from dataclasses import dataclass, field
from typing import Literal

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel
from workflow_ray import Cancel, Children, Handle, Run, Status, Stay, Workflow
from workflow_ray.records import RunId, RunQuery, RunState


class Shipment(Status):
    NEW = 1
    UNDER_WAY = 2
    DELIVERED = 3
    FAILED = 4


class Box(Status):
    PACKED = 1
    SENT = 2
    RETURNED = 3


ShipmentRun = Run[Parcel, Shipment]
BoxRun = Run[Parcel, Box]


@dataclass
class Shipping:
    """A shipment starts `count` boxes. A box of weight 0 is sent at once, others wait."""

    count: int = 3
    weight: int = 0
    joins: bool = False
    cascades: bool = False
    prefix: str = ""
    plain: bool = False
    ended: list[tuple[str, RunState, Box]] = field(default_factory=list[tuple[str, RunState, Box]])
    gathered: list[tuple[int, int, int, list[str]]] = field(
        default_factory=list[tuple[int, int, int, list[str]]]
    )

    def __post_init__(self) -> None:
        self.boxes = Workflow("boxes", Parcel, Box, entry=tuple(Box))
        self.shipments = Workflow("shipments", Parcel, Shipment, entry=tuple(Shipment))
        self.declare_boxes()

    def declare_boxes(self) -> None:
        @self.boxes.step(Box.PACKED)
        async def send(run: BoxRun) -> Literal[Box.SENT, Box.RETURNED] | Cancel | Stay:
            match run.data.weight:
                case 0:
                    return Box.SENT
                case 1:
                    return Cancel("lost")
                case _:
                    return Stay()

    def start_all(self, run: ShipmentRun) -> None:
        for number in range(self.count):
            run.start(
                self.boxes,
                f"{self.prefix or run.foreign_id}-{number}",
                Parcel(weight=self.weight),
                if_active="join" if self.joins else "refuse",
                cascade=self.cascades,
            )

    def starting(self) -> "Shipping":
        """NEW starts the boxes."""
        if self.plain:

            @self.shipments.step(Shipment.NEW)
            def ship(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
                self.start_all(run)
                return Shipment.UNDER_WAY

        else:

            @self.shipments.step(Shipment.NEW)
            async def ship_async(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
                self.start_all(run)
                return Shipment.UNDER_WAY

        return self

    def one_by_one(self) -> "Shipping":
        @self.shipments.child(Shipment.UNDER_WAY, self.boxes)
        async def one(run: ShipmentRun, box: BoxRun) -> Literal[Shipment.DELIVERED] | Stay:
            self.ended.append((box.foreign_id, box.run_state, box.status))
            run.data.weight += 1
            return Shipment.DELIVERED if run.data.weight == self.count else Stay()

        return self

    def all_at_once(self) -> "Shipping":
        @self.shipments.children(Shipment.UNDER_WAY, self.boxes)
        async def every(
            run: ShipmentRun, boxes: Children[Parcel, Box]
        ) -> Literal[Shipment.DELIVERED]:
            names = [box.foreign_id async for box in boxes]
            self.gathered.append((boxes.started, boxes.completed, boxes.cancelled, sorted(names)))
            return Shipment.DELIVERED

        return self

    def bench(self) -> Bench:
        return Bench(self.shipments, self.boxes)

    async def ship(self, bench: Bench, foreign_id: str = "s") -> Handle[Parcel, Shipment]:
        handle = await bench.client(self.shipments).trigger(foreign_id, Parcel())
        await bench.pass_time()
        return handle

    async def states(self, bench: Bench, parent: str) -> dict[str, RunState]:
        """The run states of a run's children, by foreign id."""
        query = RunQuery(workflow="boxes", parent=RunId(parent))
        return {record.foreign_id: record.run_state for record in await bench.store.runs(query)}


NAMES = ["s-0", "s-1", "s-2"]
