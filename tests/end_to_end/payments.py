"""A workflow whose data says whether its step waits, fails for now or fails for good."""

import asyncio
from typing import Literal

from pydantic import BaseModel

from workflow_ray import Fatal, Retry, Run, Status, Workflow

WAITS, FAILS, DECLINED = "waits", "fails", "declined"


class PaymentStatus(Status):
    DUE = 1
    PAID = 2


class Payment(BaseModel):
    card: str


payments = Workflow("payments", Payment, PaymentStatus)


@payments.step(PaymentStatus.DUE, retry=Retry(attempts=5, backoff=600))
async def charge(run: Run[Payment, PaymentStatus]) -> Literal[PaymentStatus.PAID]:
    match run.data.card:
        case "waits":
            await asyncio.sleep(600)
        case "fails":
            raise ConnectionError("the bank does not answer")
        case "declined":
            raise Fatal("the card was declined")
        case _:
            pass
    return PaymentStatus.PAID
