"""A run's data as bytes and back."""

import re
from typing import Generic

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from workflow_ray.definition.run import D
from workflow_ray.errors import InvalidInput


class DataCodec(Generic[D]):
    """JSON of one model, by the fields' names: what aliases say is for other readers, and needn't read back."""

    def __init__(self, model: type[D]) -> None:
        adapter = TypeAdapter(model)
        self._model = model
        self._to_json = adapter.serializer.to_json
        self._validate = adapter.validate_json

    def encode(self, data: D) -> bytes:
        if type(data) is not self._model:  # pydantic would write the fields that it knows, and drop the others
            raise InvalidInput("the run's data", f"is of type {type(data).__name__}; it must be {self._model.__name__} itself.")
        try:
            encoded = self._to_json(data, by_alias=False, round_trip=True, warnings="error")
        except PydanticSerializationError as error:
            raise InvalidInput("the run's data", _why(error)) from None
        if b"null" in encoded:
            self._read_back(encoded)
        return encoded

    def decode(self, data: bytes) -> D:
        return self._validate(data, by_alias=False, by_name=True)

    def _read_back(self, encoded: bytes) -> None:
        """JSON has no NaN and no infinity: pydantic writes null for them, which the field may not take back."""
        try:
            self.decode(encoded)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, e["loc"])) for e in error.errors(include_input=False))
            why = f"can't be read back: {fields}. For NaN or infinity set ser_json_inf_nan='strings' in the model's config."
            raise InvalidInput("the run's data", why) from None


def _why(error: PydanticSerializationError) -> str:
    """Without the values: errors are kept and logged, and data may be personal."""
    fields = re.findall(r"field_name='(\w+)'", str(error))  # nothing but the message names them
    if not fields:
        return f"can't be written as JSON: {error}."
    return f"has values that aren't of their field's type: {', '.join(fields)}. Assign what the model says."
