"""A workflow whose data may be NaN or infinite."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from workflow_ray import Run, Status, Workflow


class MeasurementStatus(Status):
    TAKEN = 1
    FILED = 2


class Measurement(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")

    value: float


measurements = Workflow("measurements", Measurement, MeasurementStatus)


@measurements.step(MeasurementStatus.TAKEN)
async def file(run: Run[Measurement, MeasurementStatus]) -> Literal[MeasurementStatus.FILED]:
    return MeasurementStatus.FILED
