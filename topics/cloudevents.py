"""CloudEvents 1.0 over Kafka: we write binary mode and read binary and structured mode.

Source: CloudEvents Kafka protocol binding 1.0.2. The `cloudevents` package of PyPI must read what we write.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

Headers = tuple[tuple[str, bytes | None], ...]

PREFIX = "ce_"
JSON = b"application/json"
BINARY: Headers = (("content-type", JSON), ("ce_specversion", b"1.0"))
STRUCTURED = "application/cloudevents"
#: Stands among the attributes for the header of this name, which is none of them.
CONTENT_TYPE = ""
#: What a header's name holds for us where it is not UTF-8: see `topics.header_names`.
UNREADABLE = "\\x"


#: Bytes of a record and its batch beside key, value and headers.
OVERHEAD = 128


class Malformed(ValueError):
    """The message is no CloudEvent that we can read; the text says why."""


class CloudEvent(NamedTuple):
    """Attributes as text, without the `ce_` prefix, and the data as JSON bytes."""

    attributes: Mapping[str, str]
    data: bytes


class Record(NamedTuple):
    """One Kafka record: what was consumed, or what shall be sent. `timestamp` is the broker's, in milliseconds."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    offset: int = -1
    timestamp: int = 0


def size_of(record: Record) -> int:
    """Bytes of the record in a batch of its own, not less than Kafka counts."""
    headers = sum(len(name) * 4 + len(value or b"") + 10 for name, value in record.headers)
    return OVERHEAD + len(record.key or b"") + len(record.value or b"") + headers


def write(attributes: Mapping[str, str | None]) -> Headers:
    """Headers of binary mode; attributes without a value are left out."""
    return (*BINARY, *[(PREFIX + name, value.encode()) for name, value in attributes.items() if value is not None])


def read(record: Record) -> CloudEvent:
    """Raises Malformed."""
    attributes: dict[str, str] = {}
    for name, value in record.headers:
        attribute = _attribute(name)
        if attribute is None:
            continue
        if attribute in attributes:
            raise Malformed(f"header {name} is repeated")
        attributes[attribute] = _text(name, value)
    content_type = attributes.pop(CONTENT_TYPE, "")
    if content_type.lower().startswith(STRUCTURED):
        return _structured(record.value)
    if attributes.get("specversion") != "1.0":
        raise Malformed("header ce_specversion must be 1.0")
    if content_type not in ("", "application/json") and not _is_json(content_type):
        raise Malformed(f"content-type {content_type!r} is not application/json")
    return CloudEvent(attributes, record.value or b"")


@lru_cache(maxsize=1_000)
def _attribute(name: str) -> str | None:
    """The attribute that a header of this name holds, or CONTENT_TYPE, or None. Raises Malformed."""
    if unreadable(name):
        raise Malformed(f"the name of header {name} is not UTF-8")
    lowered = name.lower()
    if lowered == "content-type":
        return CONTENT_TYPE
    return (lowered.removeprefix(PREFIX) or None) if lowered.startswith(PREFIX) else None


def unreadable(name: str) -> bool:
    """Whether a header's name is not UTF-8."""
    return UNREADABLE in name


def _text(name: str, value: bytes | None) -> str:
    if value is None:
        raise Malformed(f"header {name} has no value")
    try:
        text = value.decode()
    except UnicodeDecodeError as fault:
        raise Malformed(f"header {name} is not UTF-8") from fault
    if "\x00" in text:
        raise Malformed(f"header {name} holds NUL")
    return text


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _structured(value: bytes | None) -> CloudEvent:
    body = parse_json(value or b"")
    if not isinstance(body, dict):
        raise Malformed("a structured CloudEvent is a JSON object")
    data = body.pop("data", None)
    if "data_base64" in body:
        raise Malformed("data_base64 is not JSON data")
    attributes = {name: str(found) for name, found in body.items() if isinstance(found, str | int)}
    if attributes.get("specversion") != "1.0":
        raise Malformed("specversion must be 1.0")
    return CloudEvent(attributes, json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def parse_json(value: bytes, deepest: int = 64) -> Any:
    """JSON that means one thing only: UTF-8, no NaN, no repeated key, not deeper than `deepest`. Raises Malformed."""
    parsed = _compact(value)
    if parsed is not None and value.count(b"{") + value.count(b"[") <= deepest:
        return parsed
    try:
        parsed = json.loads(value.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as fault:
        raise Malformed("the value is not UTF-8") from fault
    except RecursionError as fault:
        raise Malformed("the JSON is nested too deep") from fault
    except json.JSONDecodeError as fault:
        raise Malformed(f"the value is not JSON: {fault}") from fault
    except ValueError as fault:  # our own hooks, and integers of thousands of digits
        raise Malformed(str(fault)) from fault
    if _deeper_than(parsed, deepest):
        raise Malformed(f"the JSON is nested deeper than {deepest}")
    return parsed


def _compact(value: bytes) -> Any:
    """The fast way: what reads and writes back to the same bytes repeats no key. None where that cannot be said."""
    try:
        parsed = orjson.loads(value)
        return parsed if orjson.dumps(parsed) == value else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def written(value: Any) -> bytes:
    """JSON, times in UTC with `Z`. A copy: what orjson gives holds on to kilobytes more than it is long."""
    return b"%b" % orjson.dumps(value, option=orjson.OPT_UTC_Z)


def canonical(parsed: Any) -> bytes:
    """The same bytes for the same JSON, whatever the order of its keys."""
    try:
        return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a key is repeated in a JSON object")
    return found


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON")


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True
