"""A line whose trigger is refused does not keep the other lines of a job from going through."""

import asyncio
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from workflow_ray import FlowControl, Run, Status, Workflow
from workflow_ray.cli.job import Job
from workflow_ray.cli.lines import Refused
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls


class At(Status):
    PAID = 1
    SHIPPED = 2


class Order(BaseModel):
    tenant: str


def tenant_of(run: Run[Order, At]) -> str:
    if run.data.tenant == "bad":
        raise ValueError("unknown tenant")
    return run.data.tenant


async def test_lines_that_flow_control_refuses_are_refused_one_by_one(tmp_path: Path) -> None:
    orders: Workflow[Any, Any] = Workflow("orders", Order, At)
    flow = FlowControl(concurrency_per_key=2, key=tenant_of)

    @orders.step(At.PAID, flow=flow)
    async def ship(run: Run[Order, At]) -> Literal[At.SHIPPED]:
        return At.SHIPPED

    bad = {3, 7, 8}
    source = tmp_path / "orders.jsonl"
    source.write_text(
        "".join(
            f'{{"foreign_id": "o{at}", "data": {{"tenant": "{"bad" if at in bad else "ok"}"}}}}\n'
            for at in range(1, 11)
        )
    )
    refused: list[Refused] = []
    async with LocalRuntime([orders], Urls.of("memory://refusals")) as runtime:
        job = Job(orders, runtime.client(orders), runtime.store, refused.append, print)
        descriptor = os.open(source, os.O_RDONLY)
        try:
            async with asyncio.timeout(20):
                await job.run(descriptor, lambda done, of: None)
        finally:
            os.close(descriptor)
    assert job.started == 7
    assert [line.number for line in refused] == sorted(bad)
    assert all("`key` raised ValueError: unknown tenant" in line.why for line in refused)
    assert not any(line.why.startswith("triggers") for line in refused)
