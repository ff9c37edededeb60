"""Books of machines: values as posted, entries with the value that holds on a day, and what is to come."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain.category import CategoryDefined
from domain.charges import Method
from domain.company import DepreciationPolicyUpdated
from domain.depreciation import BookPolicy, Disposal, TermsOfBook, ahead
from domain.equipment import (
    DepreciationRevised,
    Equipment,
    EquipmentHeldForSale,
    EquipmentRetired,
    EquipmentVoided,
    EquipmentWithdrawnFromSale,
    equipment,
)
from domain.model import Event
from domain.periods import Pause
from domain.record import Recorded
from tests.domain.acme import ACME, EXCAVATOR, FINANCIAL, TAX, depreciated, plan, postings, soles, terms
from tests.views.conftest import World
from views.book_entries import BOOK_ENTRIES
from views.books import BOOKS, SCHEDULES, BookItem, account_of
from views.books import table as books
from views.categories import CATEGORIES
from views.companies import COMPANIES
from views.equipment import EQUIPMENT
from views.reading import reading
from views.resource import LATEST, Moments, in_time, one, page, parse

DEARER = DepreciationRevised(
    equipment_id="ex-7",
    book=FINANCIAL,
    period="2024-06",
    terms=terms(life_months=63),
    value="120000.00",
    reason="new engine",
)
SOLD = EquipmentRetired(
    equipment_id="ex-7",
    reason="worn out",
    retired_by="user:max",
    retired_date=date(2024, 8, 20),
    proceeds=soles("100000.00"),
    disposals=(Disposal(book=FINANCIAL, currency="PEN", depreciation="900.00", value="117300.00", gain="-17300.00"),),
)
UNITS: dict[str, Any] = {"method": Method.UNITS_OF_PRODUCTION, "total_units": "1000"}

VOIDED = EquipmentVoided(equipment_id="ex-7", reason="typed twice")

PAUSE = Pause(since=date(2024, 6, 20), posted_until=date(2024, 5, 31))
HELD = EquipmentHeldForSale(
    equipment_id="ex-7", held_on=PAUSE.since, books=(TermsOfBook(book=FINANCIAL, terms=terms(pauses=(PAUSE,))),)
)
KEPT_ON = date(2024, 10, 10)
KEPT = EquipmentWithdrawnFromSale(
    equipment_id="ex-7",
    withdrawn_on=KEPT_ON,
    books=(TermsOfBook(book=FINANCIAL, terms=terms(pauses=(PAUSE.model_copy(update={"until": KEPT_ON}),))),),
)

LIVES: dict[str, tuple[Event, ...]] = {
    "set": (EXCAVATOR, depreciated()),
    "set again": (EXCAVATOR, depreciated(), depreciated(life_months=60)),
    "two books": (EXCAVATOR, depreciated(), depreciated(TAX, life_months=60), *postings(2)),
    "posted": (EXCAVATOR, depreciated(), *postings(3)),
    "revised": (EXCAVATOR, depreciated(), *postings(3), DEARER),
    "for sale": (EXCAVATOR, depreciated(), *postings(3), HELD),
    "kept": (EXCAVATOR, depreciated(), *postings(3), HELD, KEPT),
    "taken back": (EXCAVATOR, depreciated(), VOIDED),
    "by units": (EXCAVATOR, depreciated(**UNITS), postings(1)[0].model_copy(update={"units": "12.5"})),
}


async def the_book(world: World) -> BookItem:
    found = await world.see(BOOKS, equipment_id="ex-7", book="FINANCIAL")
    assert found is not None
    return found


@pytest.mark.parametrize("life", [*LIVES.values(), (*LIVES["posted"], SOLD)], ids=[*LIVES, "sold"])
async def test_the_same_events_again_leave_the_same_rows(world: World, life: tuple[Event, ...]) -> None:
    entries = await world.tell(*life)
    before = await world.rows()
    await world.again(entries)
    await world.again(entries[-1:])
    assert await world.rows() == before


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_the_stored_account_is_the_one_that_rules_see(world: World, life: tuple[Event, ...]) -> None:
    state = Equipment()
    for entry in await world.tell(*life):
        assert isinstance(entry.content, Recorded)
        state = equipment.evolve(state, entry.content.event)
    async with world.writers.connect() as connection:
        rows = (await connection.execute(books.select().where(books.c.company_id == world.company))).mappings().all()
    assert {row["book"]: account_of(row) for row in rows} == state.accounts
    for row in rows:
        assert list(ahead(account_of(row))) == list(ahead(state.accounts[row["book"]]))


async def test_a_book_shows_terms_value_and_how_far_it_is_posted(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(2))
    book = await the_book(world)
    assert (book.equipment.name, book.posted_through, book.version) == ("Excavator 7", "2024-04", 4)
    assert (book.value.amount, book.accumulated.amount) == ("118200.00", "1800.00")
    assert book.terms == terms()
    assert book.disposal is None


async def test_the_machine_itself_has_the_version_of_its_last_posting(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(2))
    machine = await world.see(EQUIPMENT, equipment_id="ex-7")
    assert machine is not None
    assert machine.version == 4


async def test_a_machine_for_sale_says_since_when_and_has_no_charges_to_come_until_it_is_kept(world: World) -> None:
    async def shown() -> tuple[date | None, list[str], list[str]]:
        machine = await world.see(EQUIPMENT, equipment_id="ex-7")
        (book,) = (await world.list(SCHEDULES, {"equipment_id": "ex-7"})).items
        assert machine is not None
        periods = [it.period for it in book.periods]
        return machine.for_sale_since, periods[:1] + periods[-1:], [it.amount.amount for it in book.periods[:5]]

    await world.tell(*LIVES["for sale"])
    assert await shown() == (PAUSE.since, ["2024-06", "2024-06"], ["900.00"])
    await world.tell(KEPT)
    assert await shown() == (None, ["2024-06", "2034-05"], ["900.00", "0.00", "0.00", "0.00", "900.00"])


async def test_the_past_knows_when_a_machine_was_for_sale(world: World) -> None:
    await world.tell(*LIVES["kept"])

    async def at(day: date) -> tuple[date | None, int]:
        moments = Moments(LATEST, datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        async with reading(world.readers, world.company) as reader:
            assert EQUIPMENT.at is not None
            machine = await one(reader, EQUIPMENT.at(moments), {"equipment_id": "ex-7"})
        book = await then(world, valid_at=moments.valid_at)
        assert machine is not None
        assert book is not None
        return machine.for_sale_since, len(book.terms.pauses)

    assert [await at(day) for day in (date(2024, 6, 19), PAUSE.since, KEPT_ON)] == [
        *((None, 0), (PAUSE.since, 1), (None, 1)),
    ]


async def test_a_machine_that_was_sold_has_no_value_and_tells_its_loss(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(2), SOLD)
    book = await the_book(world)
    assert book.value.amount == "0.00"
    assert book.disposal is not None
    assert (book.disposal.on, book.disposal.value.amount) == (date(2024, 8, 20), "117300.00")
    assert (book.disposal.proceeds.amount, book.disposal.gain.amount) == ("100000.00", "-17300.00")


async def test_books_are_found_by_machine_book_method_and_by_what_is_not_posted(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), depreciated(TAX, method=Method.DECLINING), *postings(2))

    async def found(**query: str) -> list[str]:
        return [book.book.value for book in (await world.list(BOOKS, **query)).items]

    assert await found() == ["FINANCIAL", "TAX"]
    assert await found(method="DECLINING", sort="-value") == ["TAX"]
    assert await found(book="FINANCIAL", equipment_id="ex-7") == ["FINANCIAL"]
    assert await found(posted_before="2024-05") == ["FINANCIAL", "TAX"]
    assert await found(posted_before="2024-04") == ["TAX"]
    assert await found(equipment_id="ex-8") == []


async def test_the_value_on_a_day_is_that_of_the_last_entry_before_it(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(3), DEARER, SOLD)

    async def value_on(day: str) -> list[str]:
        return [entry.value.amount for entry in (await world.list(BOOK_ENTRIES, on=day)).items]

    assert await value_on("2024-02-29") == []
    assert await value_on("2024-03-01") == ["120000.00"]
    assert await value_on("2024-04-29") == ["119100.00"]
    assert await value_on("2024-04-30") == ["118200.00"]
    assert await value_on("2024-05-31") == ["117300.00"]
    assert await value_on("2024-06-01") == ["120000.00"]
    assert await value_on("2030-01-01") == ["0.00"]


async def test_entries_are_listed_by_day_and_found_by_period_and_kind(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(3), DEARER, SOLD)
    entries = (await world.list(BOOK_ENTRIES, sort="day")).items
    assert [entry.kind.value for entry in entries] == ["OPENING", *["POSTING"] * 3, "REVISION", "DISPOSAL"]
    assert [entry.amount.amount for entry in entries] == ["0.00", "900.00", "900.00", "900.00", "0.00", "900.00"]
    april = (await world.list(BOOK_ENTRIES, period="2024-04", equipment_id="ex-7", book="FINANCIAL")).items
    assert [entry.entered_on for entry in april] == [date(2024, 4, 30)]
    (closed,) = (await world.list(BOOK_ENTRIES, kind="DISPOSAL")).items
    assert closed.gain is not None
    assert (closed.gain.amount, closed.reason) == ("-17300.00", "worn out")
    late = await world.list(BOOK_ENTRIES, **{"from": "2024-05-01", "until": "2024-05-31"})
    assert [entry.period for entry in late.items] == ["2024-05"]
    one = await world.see(BOOK_ENTRIES, equipment_id="ex-7", book="FINANCIAL", entry="posting-2024-03")
    assert one == entries[1]


async def test_the_schedule_tells_what_is_to_come_until_the_machine_is_gone(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), *postings(3))
    (planned,) = (await world.list(SCHEDULES, path={"equipment_id": "ex-7"})).items
    assert (len(planned.periods), planned.periods[0].period) == (117, "2024-06")
    assert planned.periods[-1].model_dump(include={"ends_on", "value"}) == {
        "ends_on": date(2034, 2, 28),
        "value": {"amount": "12000.00", "currency": "PEN"},
    }
    await world.tell(SOLD)
    (gone,) = (await world.list(SCHEDULES, path={"equipment_id": "ex-7"})).items
    assert gone.periods == ()


async def test_a_machine_that_was_taken_back_has_no_books(world: World) -> None:
    await world.tell(EXCAVATOR, depreciated(), VOIDED)
    assert (await world.list(BOOKS)).items == (await world.list(BOOK_ENTRIES)).items == ()


async def test_policy_and_category_show_what_new_machines_are_depreciated_by(world: World) -> None:
    firm = ACME[0].model_copy(update={"company_id": world.company})
    policy = BookPolicy(book=FINANCIAL, plan=plan(), salvage_percent="10")
    cranes = CategoryDefined(category_id="cranes", name="Cranes", life_months=180, salvage_percent="12.5")
    await world.tell(firm, DepreciationPolicyUpdated(company_id=world.company, books=(policy,)), cranes)
    shown = await world.see(COMPANIES, company_id=world.company)
    kind = await world.see(CATEGORIES, category_id="cranes")
    assert shown is not None
    assert kind is not None
    assert shown.books == (policy,)
    assert (kind.life_months, kind.salvage_percent) == (180, "12.5")


# -- the past --------------------------------------------------------------------------------------------------------


async def then(world: World, as_of: datetime = LATEST, valid_at: datetime = LATEST) -> BookItem | None:
    """The financial book as it was."""
    assert BOOKS.at is not None
    async with reading(world.readers, world.company) as reader:
        return await one(reader, BOOKS.at(Moments(as_of, valid_at)), {"equipment_id": "ex-7", "book": "FINANCIAL"})


@pytest.mark.parametrize("life", [*LIVES.values(), (*LIVES["revised"], SOLD)], ids=[*LIVES, "sold"])
async def test_what_a_book_said_at_any_time_is_what_the_live_view_showed_then(
    world: World, life: tuple[Event, ...]
) -> None:
    shown = []
    for event in life:
        (entry,) = await world.tell(event)
        live = await world.see(BOOKS, equipment_id="ex-7", book="FINANCIAL")
        shown.append((entry.content.recorded_at, told(live)))
    for recorded_at, live_then in shown:
        assert told(await then(world, recorded_at, recorded_at)) == live_then
    assert told(await then(world)) == shown[-1][1]


def told(book: BookItem | None) -> dict[str, Any] | None:
    """All but the machine's name, which is the one that it has now."""
    return book and book.model_dump(exclude={"equipment"})


async def test_a_value_is_told_as_it_was_true_and_as_it_was_known(world: World) -> None:
    entries = await world.tell(EXCAVATOR, depreciated(), *postings(3), DEARER, SOLD)
    opened, first, second = (entry.content.recorded_at for entry in entries[1:4])

    async def value(valid_at: datetime, as_of: datetime = LATEST) -> str | None:
        found = await then(world, as_of, valid_at)
        return None if found is None else found.value.amount

    assert await value(datetime(2024, 2, 29, tzinfo=UTC)) is None
    assert await value(datetime(2024, 3, 1, tzinfo=UTC)) == "120000.00"
    assert await value(datetime(2024, 4, 30, tzinfo=UTC)) == "118200.00"
    assert await value(datetime(2024, 4, 30, tzinfo=UTC), first) == "119100.00"
    assert await value(datetime(2024, 4, 30, tzinfo=UTC), opened) == "120000.00"
    assert await value(datetime(2024, 6, 1, tzinfo=UTC)) == "120000.00"
    assert await value(datetime(2024, 6, 1, tzinfo=UTC), second) == "118200.00"
    assert await value(datetime(2024, 8, 20, tzinfo=UTC)) == "0.00"


async def test_terms_set_anew_begin_the_book_anew(world: World) -> None:
    later = depreciated(available_on=date(2024, 5, 1))
    before, _ = (entry.content.recorded_at for entry in await world.tell(depreciated(), later))
    april = datetime(2024, 4, 1, tzinfo=UTC)
    assert await then(world, before, april) is not None
    assert await then(world, LATEST, april) is None


async def test_books_of_a_machine_that_was_taken_back_are_not_those_of_its_successor(world: World) -> None:
    entries = await world.tell(EXCAVATOR, depreciated(), VOIDED, EXCAVATOR)
    assert await then(world) is None
    assert await then(world, entries[1].content.recorded_at, entries[1].content.recorded_at) is not None


async def test_lists_of_past_books_are_filtered_and_paged(world: World) -> None:
    *_, last = await world.tell(EXCAVATOR, depreciated(), depreciated(TAX), *postings(1))
    await world.tell(*postings(2)[1:])
    moment = ("as_of", last.content.recorded_at.isoformat())

    async def found(*more: tuple[str, str]) -> tuple[list[tuple[str, str]], str | None]:
        resource, others = in_time(BOOKS, [moment, *more])
        async with reading(world.readers, world.company) as reader:
            shown = await page(reader, resource, parse(resource, others))
        return [(book.book.value, book.value.amount) for book in shown.items], shown.next

    first, following = await found(("limit", "1"))
    assert first == [("FINANCIAL", "119100.00")]
    assert (await found(("limit", "1"), ("cursor", following or "")))[0] == [("TAX", "120000.00")]
    assert (await found(("book", "TAX"), ("total", "true")))[0] == [("TAX", "120000.00")]
