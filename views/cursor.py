"""Where a page ended, as an opaque text that fits one request only: same resource, filters and order."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

LONGEST = 2000


class CursorRefused(ValueError):
    """The text is no cursor of this request."""


@lru_cache(maxsize=1_000)
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads and writes values of a type; making one costs more than a page has of anything else."""
    return TypeAdapter(kind)


def write(fingerprint: str, types: Sequence[Any], values: Sequence[Any]) -> str:
    plain = [adapter(kind).dump_python(value, mode="json") for kind, value in zip(types, values, strict=True)]
    return urlsafe_b64encode(json.dumps([fingerprint, *plain]).encode()).decode().rstrip("=")


def read(text: str, fingerprint: str, types: Sequence[Any]) -> tuple[Any, ...]:
    """The values as `types` say. Raises CursorRefused for anything that `write` did not make for this request."""
    found = _parsed(text)
    if len(found) != len(types) + 1 or found[0] != fingerprint:
        raise CursorRefused("the cursor belongs to a list with another order or other filters")
    try:
        return tuple(adapter(kind).validate_python(value) for kind, value in zip(types, found[1:], strict=True))
    except ValidationError as fault:
        raise CursorRefused("the cursor is damaged") from fault


def _parsed(text: str) -> list[Any]:
    try:
        found = json.loads(urlsafe_b64decode(text[:LONGEST] + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError) as fault:
        raise CursorRefused("the cursor is damaged") from fault
    return found if isinstance(found, list) else []
