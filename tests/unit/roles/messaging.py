"""Messages to the runs of a test, posted as a client posts them."""

import itertools
from datetime import timedelta

from pydantic import BaseModel

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel
from workflow_ray import Retry, Run, Status, Workflow
from workflow_ray.records import (
    Committed,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    MessageQuery,
    NewMessage,
    PostResult,
    Record,
    RunId,
    WriteGroup,
)

RETRY = Retry(attempts=3, backoff=timedelta(seconds=1))


class Deal(Status):
    OPEN = 1
    PAID = 2
    EXPIRED = 3
    LOST = 4


class Payment(BaseModel):
    amount: int


DealRun = Run[Parcel, Deal]
Deals = Workflow[Parcel, Deal]
_numbers = itertools.count()


def deals(partitions: int = 16) -> Deals:
    """Runs that start at OPEN. The test declares what they wait for."""
    return Workflow("deals", Parcel, Deal, entry=tuple(Deal), partitions=partitions)


def callback(run_id: RunId, name: str, payload: bytes, *statuses: Status) -> NewMessage:
    """A callback's message that the statuses accept."""
    return NewMessage(
        key=MessageKey("deals", MessageKind.CALLBACK, MessageId(f"{name}-{next(_numbers)}")),
        run_id=run_id,
        name=name,
        statuses=tuple(status.value for status in statuses or (Deal.OPEN,)),
        payload=payload,
        by="a test",
    )


async def post(bench: Bench, *messages: NewMessage) -> tuple[PostResult, ...]:
    (answer,) = await bench.store.store([WriteGroup(messages=messages)])
    assert isinstance(answer, Committed)
    return answer.posts


async def pay(bench: Bench, run_id: RunId, amount: int = 5, name: str = "paid") -> MessageKey:
    """Post the message of a callback. Returns its key."""
    message = callback(run_id, name, Payment(amount=amount).model_dump_json().encode())
    await post(bench, message)
    return message.key


async def read(bench: Bench, key: MessageKey) -> Message:
    (message,) = await bench.store.messages(MessageQuery(keys=(key,)))
    return message


async def record_of(bench: Bench, run_id: RunId) -> Record:
    (record,) = await bench.store.lookup([run_id])
    assert record
    return record
