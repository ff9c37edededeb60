"""Old shapes of events, lifted one version at a time to the shape that the classes have today."""

import json
from collections.abc import Callable
from typing import Any

Data = dict[str, Any]

#: Wire type of an old version -> what makes its data one version newer. Events are never rewritten in the log.
UPCASTERS: dict[str, Callable[[Data], Data]] = {}


def upcast(wire_type: str, data: bytes) -> tuple[str, bytes]:
    """The newest type that upcasters lead to, and the data in its shape; untouched where there are none."""
    if wire_type not in UPCASTERS:
        return wire_type, data
    shape: Data = json.loads(data)
    while lift := UPCASTERS.get(wire_type):
        shape = lift(shape)
        name, _, version = wire_type.rpartition(".v")
        wire_type = f"{name}.v{int(version) + 1}"
    return wire_type, json.dumps(shape).encode()
