"""What holds for all views at once, without a database."""

from typing import Any

import pytest
from sqlalchemy import Table

from domain import DECIDERS, EVENTS, HOMES
from domain.credential import credential
from domain.decider import Decider
from domain.equipment import EquipmentCreated, EquipmentRenamed
from domain.model import Event
from domain.platform import ProcessAdmitted, ProcessDismissed
from domain.record import Outcome, Recorded
from tests.domain.acme import EXCAVATOR, scheduled
from tests.views.journal import Journal
from views import GROUPS, RESOURCES, VIEWS
from views.projecting import PositionGap, before_gap, runs
from views.resource import Resource, parameters
from views.tables import METADATA, SCHEMA
from views.view import Change, Group, View

#: Events that no view but the history shows.
UNSEEN: frozenset[type[Event]] = frozenset({ProcessAdmitted, ProcessDismissed})


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.__name__)
def test_each_event_is_handled_by_a_view_or_named_as_unseen(event: type[Event]) -> None:
    handled = any(event in view.handlers for view in GROUPS["fleet"].views)
    assert handled != (event in UNSEEN)


@pytest.mark.parametrize("event", credential.events, ids=lambda event: event.__name__)
def test_each_event_of_credentials_moves_the_version_of_the_row(event: type[Event]) -> None:
    assert any(event in view.handlers for view in GROUPS["credentials"].views)


@pytest.mark.parametrize("decider", DECIDERS, ids=lambda decider: decider.name)
def test_the_row_of_an_aggregate_has_its_version_after_each_event(decider: Decider[Any]) -> None:
    own = f"{decider.path}/{{{decider.key}}}"
    shown = {r.rows.selected_columns["version"].table for r in RESOURCES if r.item_path == own}  # type: ignore[attr-defined]
    for view in VIEWS:
        assert view.table not in shown or set(decider.events) - UNSEEN <= view.handlers.keys()


def test_two_functions_of_a_view_cannot_want_the_same_event() -> None:
    view = View("test", Table("test", METADATA.__class__()))

    def one(event: EquipmentCreated | EquipmentRenamed, fact: Recorded) -> Change:
        raise NotImplementedError

    def other(event: EquipmentRenamed, fact: Recorded) -> Change:
        raise NotImplementedError

    view.on(one)
    with pytest.raises(TypeError, match="handles EquipmentRenamed twice"):
        view.on(other)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_company_leads_every_key(view: View) -> None:
    assert next(iter(view.table.primary_key)).name == "company_id"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_each_order_of_a_list_has_an_index_that_leads_with_the_company(resource: Resource) -> None:  # type: ignore[type-arg]
    table = resource.company.table  # type: ignore[attr-defined]
    orders = [[str(column) for column in index.expressions] for index in table.indexes]
    orders.append([str(column) for column in table.primary_key])
    lead = [str(resource.company), *(str(found.column) for found in resource.within.values())]
    if resource.name == "equipment-history":
        lead.insert(1, str(table.c.aggregate))
    if resource.name in ("companies", "dashboard"):
        return  # a company sees one row
    for sort in resource.sorts.values():
        wanted = [*lead, str(sort.expression)]
        assert any(order[: len(wanted)] == wanted for order in orders), wanted


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_each_parameter_has_a_meaning_and_a_schema(resource: Resource) -> None:  # type: ignore[type-arg]
    for parameter in parameters(resource):
        assert parameter.meaning
        assert parameter.schema
    for name, field in resource.item.model_fields.items():
        assert field.description, name


def life(machines: int) -> Journal:
    journal = Journal()
    for number in range(machines):
        own = {"equipment_id": f"ex-{number}"}
        journal.tell(EXCAVATOR.model_copy(update=own), scheduled().model_copy(update=own))
    return journal


def test_changes_of_many_machines_run_together_by_statement() -> None:
    found = runs(GROUPS["fleet"], (entry.content for entry in life(100).entries))
    assert [len(rows) for _, rows in found] == [100, 100, 100]


def test_changes_of_one_machine_keep_their_order() -> None:
    journal = Journal()
    journal.tell(EXCAVATOR, *(EquipmentRenamed(equipment_id="ex-7", name=str(n)) for n in range(3)), scheduled())
    journal.tell(EquipmentRenamed(equipment_id="ex-7", name="last"))
    found = runs(GROUPS["fleet"], (entry.content for entry in journal.entries))
    versions = [max(set(row) & set(range(10))) for _, rows in found for row in rows]
    assert versions == sorted(versions)
    assert len(versions) == 7


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_every_statement_knows_all_of_its_values_and_can_be_told_of_another_schema(group: Group) -> None:
    for entry in life(1).entries:
        for change in group.changes(entry.content):
            text = change.statement.text("elsewhere")
            assert "POSTCOMPILE" not in text
            assert f"${len(change.values)}" in text
            assert f"{SCHEMA}." not in text


def test_entries_after_a_position_come_once_each_up_to_the_first_gap() -> None:
    entries = life(3).entries
    again = [*entries[:3], *entries[1:4]]
    fresh, seen, gap = before_gap(again, 1)
    assert ([entry.position for entry in fresh], seen, gap) == ([2, 3, 4], 6, None)
    fresh, seen, gap = before_gap([*entries[:2], *entries[3:]], 0)
    assert ([entry.position for entry in fresh], seen) == ([1, 2], 2)
    assert isinstance(gap, PositionGap)
    assert str(gap) == "position 3 is missing: offset 3 holds position 4"


def test_groups_read_topics_of_events_outcomes_dead_letters_or_the_audit() -> None:
    sources = {"events", "outcomes", "credentials.events", "audit", "dead-letters"}
    assert {group.source for group in GROUPS.values()} == sources
    assert all(isinstance(group, Group) and group.views for group in GROUPS.values())
    assert set(HOMES) == set(EVENTS.values())
    assert any(Outcome in view.handlers for view in GROUPS["outcomes"].views)
