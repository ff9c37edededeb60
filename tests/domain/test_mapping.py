"""Records of another ERP in our words: what the tables say, and what is set aside because they do not."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.asset import AssetState
from domain.mapping import Cause, Mapping, Quarantined, understand
from domain.model import Money

MAPPING = Mapping.model_validate_json(
    """{
    "source": "legacy",
    "organizations": {
        "ORG-01": {"company": "acme", "currency": "PEN"}, "ORG-02": {"company": "tokyo", "currency": "JPY"}
    },
    "states": {
        "ACTIVE": "ACTIVE", "IN_USE": "ACTIVE", "MAINTENANCE": "MAINTENANCE", "REPAIR": "MAINTENANCE",
        "RETIRED": "RETIRED", "DISPOSED": "RETIRED"
    },
    "categories": {"EXC": "excavators"},
    "places": {"Norte 3": "north-yard"},
    "rates": [
        {"currency": "USD", "to": "PEN", "since": "2019-07-01", "factor": "3.305"},
        {"currency": "USD", "to": "PEN", "since": "2019-01-01", "factor": "3.3455"},
        {"currency": "USD", "to": "JPY", "since": "2019-01-01", "factor": "110.25"}
    ]
    }"""
)
LOADER = {
    "asset_id": "4711",
    "equipment_name": "Loader",
    "organization_code": "ORG-01",
    "acquisition_date": "2019-05-01",
    "state": "IN_USE",
    "category": "EXC",
    "cost": "1000.00",
    "currency": "PEN",
}


def read(mapping: Mapping = MAPPING, **changes: Any) -> Any:
    return understand(mapping, LOADER | changes, "spring")


def cost(**changes: Any) -> Money:
    found = read(**changes).command.record.cost
    assert isinstance(found, Money)
    return found


def with_tables(**changes: Any) -> Mapping:
    return MAPPING.model_copy(update=changes)


# --- understood -----------------------------------------------------------------------------------------------------


def test_a_record_is_read_in_our_words() -> None:
    company, command = read(location="norte 3", manufacturer="Caterpillar", unheard_of="whatever")
    assert company == "acme"
    assert (command.asset_id, command.import_id, command.number) == ("legacy.4711", "spring", "4711")
    record = command.record
    assert (record.name, record.category_id, record.acquired_on) == ("Loader", "excavators", date(2019, 5, 1))
    assert (record.state, record.place, record.manufacturer) == (AssetState.ACTIVE, "north-yard", "Caterpillar")
    assert record.cost == Money(amount="1000.00", currency="PEN")


@pytest.mark.parametrize(("theirs", "ours"), MAPPING.states.items())
def test_states_are_read_by_the_table(theirs: str, ours: AssetState) -> None:
    assert read(state=theirs.upper()).command.record.state is read(state=theirs).command.record.state is ours


def test_an_asset_without_a_name_is_unknown_by_name() -> None:
    assert read(equipment_name=" ").command.record.name == "Unknown"


def test_numbers_are_read_as_they_would_be_written() -> None:
    assert read(asset_id=4711).command == read().command


def test_names_of_columns_days_and_decimal_commas_are_as_the_source_has_them() -> None:
    spanish = with_tables(
        columns=MAPPING.columns.model_copy(update={"acquired_on": "fecha", "cost": "costo"}),
        date_format="%d/%m/%Y",
        decimal_comma=True,
    )
    record = read(spanish, fecha="01/05/2019", costo="1.234,5").command.record
    assert (record.acquired_on, record.cost) == (date(2019, 5, 1), Money(amount="1234.50", currency="PEN"))


def test_other_categories_are_the_default_one_where_there_is_one() -> None:
    assert read(with_tables(default_category="misc"), category="").command.record.category_id == "misc"


def test_locations_mean_nothing_where_no_places_are_named() -> None:
    assert read(with_tables(places={}), location="Sur 9").command.record.place is None


# --- money ----------------------------------------------------------------------------------------------------------


def test_a_cost_is_converted_by_the_rate_of_its_day_and_rounded_half_up() -> None:
    assert cost(currency="USD", cost="1000.01") == Money(amount="3345.53", currency="PEN")
    assert cost(currency="usd", cost="1,000.00", acquisition_date="2019-07-01").amount == "3305.00"
    assert cost(currency="USD", cost="0.02", organization_code="ORG-02").amount == "2"


def test_no_cost_is_no_cost() -> None:
    assert read(cost="", currency="").command.record.cost is None


@given(st.integers(0, 10**12), st.sampled_from(["USD", "PEN"]))
def test_what_is_converted_is_within_half_a_cent_of_the_product(cents: int, currency: str) -> None:
    found = cost(cost=f"{cents // 100}.{cents % 100:02}", currency=currency)
    factor = 33455 if currency == "USD" else 10000
    assert abs(int(found.amount.replace(".", "")) * 10000 - cents * factor) * 2 <= 10000


# --- set aside ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"asset_id": ""}, Cause.ASSET_ID_MISSING),
        ({"asset_id": None}, Cause.ASSET_ID_MISSING),
        ({"organization_code": "ORG-99"}, Cause.ORGANIZATION_UNKNOWN),
        ({"organization_code": ""}, Cause.ORGANIZATION_UNKNOWN),
        ({"state": "LOST"}, Cause.STATE_UNKNOWN),
        ({"state": ""}, Cause.STATE_UNKNOWN),
        ({"category": "SHIP"}, Cause.CATEGORY_UNMAPPED),
        ({"location": "Sur 9"}, Cause.PLACE_UNMAPPED),
        ({"acquisition_date": "01/05/2019"}, Cause.DATE_INVALID),
        ({"acquisition_date": ""}, Cause.DATE_INVALID),
        ({"acquisition_date": "1019-05-01"}, Cause.FIELD_INVALID),
        ({"cost": "12,5"}, Cause.COST_INVALID),
        ({"cost": "-5"}, Cause.COST_INVALID),
        ({"cost": "NaN"}, Cause.COST_INVALID),
        ({"cost": "cheap"}, Cause.COST_INVALID),
        ({"currency": "SOL"}, Cause.CURRENCY_UNKNOWN),
        ({"currency": ""}, Cause.CURRENCY_UNKNOWN),
        ({"currency": "EUR"}, Cause.RATE_MISSING),
        ({"currency": "USD", "acquisition_date": "2018-12-31"}, Cause.RATE_MISSING),
        ({"equipment_name": "x" * 201}, Cause.FIELD_INVALID),
        ({"equipment_name": "a\x00b"}, Cause.FIELD_INVALID),
        ({"asset_id": "4\x0711"}, Cause.FIELD_INVALID),
        ({"state": ["ACTIVE"]}, Cause.MALFORMED),
        ({"state": True}, Cause.MALFORMED),
    ],
    ids=str,
)
def test_what_the_tables_do_not_say_is_set_aside(changes: dict[str, Any], cause: Cause) -> None:
    with pytest.raises(Quarantined) as said:
        read(**changes)
    assert said.value.cause is cause
    assert said.value.detail


@given(st.dictionaries(st.sampled_from(list(LOADER)), st.text() | st.integers() | st.none()))
def test_whatever_a_record_holds_it_is_understood_or_set_aside(changes: dict[str, Any]) -> None:
    try:
        assert read(**changes) == read(**changes)
    except Quarantined as said:
        assert said.cause in Cause


# --- the tables -----------------------------------------------------------------------------------------------------


def test_tables_name_known_companies_currencies_and_states_alone() -> None:
    for wrong in (
        {"states": {"GONE": "LOST"}},
        {"organizations": {"O": {"company": "Acme!", "currency": "PEN"}}},
        {"organizations": {"O": {"company": "acme", "currency": "SOL"}}},
        {"categories": {"Exc": "a", "EXC": "b"}},
        {"rates": [{"currency": "USD", "to": "PEN", "since": "2019-01-01", "factor": "-1"}]},
        {"colour": "red"},
    ):
        with pytest.raises(ValidationError):
            Mapping.model_validate(MAPPING.model_dump(mode="json") | wrong)
