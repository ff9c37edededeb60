"""Events of old shapes are read as today's events; the log keeps them as they were written."""

import json
from typing import Any

import pytest

from domain.category import CategoryDefined
from tests.topics.samples import DEFINED, NAMED, NOW, event_record, with_header
from topics.cloudevents import Record
from topics.messages import EVENT_TYPES, read_event
from topics.upcasters import UPCASTERS, upcast

FIRST, SECOND, THIRD = (f"com.bitcorp.erp.category.category-defined.v{version}" for version in (1, 2, 3))


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the event had changed twice: v1 called the name `title`, v2 had no id of its own but a `slug`."""
    monkeypatch.setitem(EVENT_TYPES, THIRD, CategoryDefined)
    monkeypatch.delitem(EVENT_TYPES, DEFINED)
    monkeypatch.setitem(UPCASTERS, FIRST, lambda old: {"name": old["title"], "slug": old["slug"]})
    monkeypatch.setitem(
        UPCASTERS,
        SECOND,
        lambda old: {"name": old["name"], "category_id": old["slug"], "effective_at": NOW.isoformat()},
    )


def stored(type_: str, data: Any) -> Record:
    record = with_header(event_record()[0], "ce_type", type_.encode())
    return record._replace(value=json.dumps(data).encode())


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (FIRST, {"title": NAMED.name, "slug": "excavators"}),
        (SECOND, {"name": NAMED.name, "slug": "excavators"}),
        (THIRD, json.loads(NAMED.model_dump_json())),
    ],
    ids=["v1", "v2", "v3"],
)
def test_an_event_of_any_age_is_read_in_the_shape_of_today(type_: str, data: Any) -> None:
    assert read_event(stored(type_, data)).event == NAMED


def test_an_event_that_never_changed_keeps_its_bytes() -> None:
    value = b'{"name":  "as it was written"}'
    assert upcast(DEFINED, value) == (DEFINED, value)


def test_every_old_shape_leads_to_an_event_of_today() -> None:
    for old in UPCASTERS:
        name, _, version = old.rpartition(".v")
        newer = [f"{name}.v{later}" for later in range(int(version) + 1, int(version) + 100)]
        assert next(type_ for type_ in newer if type_ not in UPCASTERS) in EVENT_TYPES
