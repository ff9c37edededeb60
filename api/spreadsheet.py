"""Lists as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel

CSV = "text/csv"
#: A cell that starts so would be run as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(model: type[BaseModel], items: Iterable[BaseModel], fields: frozenset[str] | None) -> str:
    """One row per item under a row of names; a field of an inner object is `outer.inner`."""
    names = [name for name in columns(model) if fields is None or name.partition(".")[0] in fields]
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(names)
    for item in items:
        plain = item.model_dump(mode="json")
        rows.writerow([cell(plain, name) for name in names])
    return text.getvalue()


def columns(model: type[BaseModel], within: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if inner is None:
            yield within + name
        else:
            yield from columns(inner, f"{within}{name}.")


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    kinds = [annotation, *get_args(annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def cell(item: Any, name: str) -> str | int | float:
    """The value under a dotted name; empty where there is none."""
    for part in name.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    match item:
        case None:
            return ""
        case bool() | dict() | list():
            return json.dumps(item, ensure_ascii=False)
        case int() | float():
            return item
        case _:
            return f"'{item}" if str(item).startswith(FORMULA) else str(item)
