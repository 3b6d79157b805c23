"""Two workflows of one step: one of them writes a row in the transaction of its transition."""

from typing import Literal, TypeAlias

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session

from workflow_ray import Run, Status, Workflow


class BookingStatus(Status):
    PLACED = 1
    BOOKED = 2


class Booking(BaseModel):
    number: int


BookingRun: TypeAlias = Run[Booking, BookingStatus]
shared = Workflow("shared", Booking, BookingStatus)
transactional = Workflow("transactional", Booking, BookingStatus)
INSERT = text("INSERT INTO bookings VALUES (:number)")


@shared.step(BookingStatus.PLACED)
def pass_on(run: BookingRun) -> Literal[BookingStatus.BOOKED]:
    return BookingStatus.BOOKED


@transactional.step(BookingStatus.PLACED, transactional=True)
def book(run: BookingRun, session: Session) -> Literal[BookingStatus.BOOKED]:
    session.execute(INSERT, {"number": run.data.number})
    return BookingStatus.BOOKED
