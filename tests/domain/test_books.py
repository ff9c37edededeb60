"""The books of a machine: terms by policy or command, periods posted in order, revisions, and the end."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.category import CategoryDefined
from domain.charges import Method
from domain.company import BookPolicies, DepreciationPolicyUpdated, UpdateDepreciationPolicy
from domain.depreciation import (
    BookName,
    BookPolicy,
    Disposal,
    Frequency,
    Opening,
    TermsOfBook,
    posting_id,
)
from domain.equipment import (
    CreateEquipment,
    DepreciationPosted,
    DepreciationRevised,
    DepreciationSet,
    EquipmentCreated,
    EquipmentHeldForSale,
    EquipmentRetired,
    EquipmentWithdrawnFromSale,
    HoldForSale,
    MeterReadingRecorded,
    PostDepreciation,
    RenameEquipment,
    RetireEquipment,
    ReviseDepreciation,
    SetDepreciation,
    WithdrawFromSale,
)
from domain.maintenance import Meter
from domain.model import Money
from domain.periods import Convention, Pause
from tests.domain.acme import (
    ACME,
    ADA,
    EXCAVATOR,
    FINANCIAL,
    MAX,
    OPERATOR,
    TAX,
    TESS,
    TODAY,
    depreciated,
    plan,
    policy,
    postings,
    soles,
    terms,
)
from tests.domain.scenario import NOW, Answer, given

DEPRECIATION = "system:depreciation"
PRICED = EXCAVATOR.model_copy(update={"purchase_price": soles("120000.00")})
RETIRED = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:max", retired_date=TODAY)
BY_UNITS: dict[str, Any] = {"method": Method.UNITS_OF_PRODUCTION, "total_units": "1000"}


def books(*policies: BookPolicy) -> DepreciationPolicyUpdated:
    return DepreciationPolicyUpdated(company_id="acme", books=policies)


def book(name: BookName = FINANCIAL, percent: str = "10", **changes: Any) -> BookPolicy:
    return BookPolicy(book=name, plan=plan(**changes), salvage_percent=percent)


def set_(name: BookName = FINANCIAL, **fields: Any) -> SetDepreciation:
    return SetDepreciation(equipment_id="ex-7", book=name, **fields)


def post(period: str = "2024-03", name: BookName = FINANCIAL, **fields: Any) -> PostDepreciation:
    return PostDepreciation(equipment_id="ex-7", book=name, period=period, **fields)


def revise(period: str = "2024-03", **fields: Any) -> ReviseDepreciation:
    return ReviseDepreciation(equipment_id="ex-7", book=FINANCIAL, period=period, reason="new estimate", **fields)


# --- the company's policy -------------------------------------------------------------------------------------------


def test_an_admin_says_how_the_company_depreciates_and_a_repeat_adds_nothing() -> None:
    both: BookPolicies = (book(), book(TAX, method=Method.DECLINING_THEN_STRAIGHT_LINE))
    command = UpdateDepreciationPolicy(company_id="acme", books=both)
    given(ACME).when(command).then(books(*both)).when(command).then_nothing()


@pytest.mark.parametrize("actor", [MAX, TESS, OPERATOR])
def test_nobody_else_says_so(actor: str) -> None:
    given(ACME).when(UpdateDepreciationPolicy(company_id="acme", books=()), by=actor).then_rejected("forbidden")


def test_a_policy_names_each_book_once() -> None:
    entry = book().model_dump_json()
    sent = f'{{"company_id": "acme", "books": [{entry}, {entry}]}}'.encode()
    given(ACME).when_sent(UpdateDepreciationPolicy, sent, about="acme").then_rejected("invalid", "books")


def create(**changes: Any) -> CreateEquipment:
    return CreateEquipment(**{k: v for k, v in vars(PRICED).items() if k != "effective_at"} | changes)


def test_a_machine_with_a_price_gets_the_terms_of_the_policy_when_it_is_registered() -> None:
    tax = {"method": Method.DECLINING, "frequency": Frequency.YEARLY}
    given(ACME, books(book(), book(TAX, **tax))).when(create()).then(PRICED, depreciated(), depreciated(TAX, **tax))


def test_a_machine_without_a_price_or_with_one_that_the_policy_cannot_use_gets_none() -> None:
    given(ACME, books(book())).when(create(purchase_price=None)).then(EXCAVATOR)
    needs_salvage = book(percent="0", method=Method.WRITTEN_DOWN_VALUE, rate=None)
    given(ACME, books(needs_salvage)).when(create()).then(PRICED)


def test_life_and_salvage_value_of_the_category_go_before_those_of_the_policy() -> None:
    cranes = CategoryDefined(category_id="cranes", name="Cranes", life_months=180, salvage_percent="33.3333")
    crane = EquipmentCreated(**dict(PRICED) | {"category_id": "cranes"})
    own = depreciated(life_months=180, salvage=soles("39999.96"))
    given(ACME, cranes, books(book())).when(create(category_id="cranes")).then(crane, own)


# --- terms of one machine -------------------------------------------------------------------------------------------


def test_a_manager_sets_the_terms_of_a_machine_and_a_repeat_adds_nothing() -> None:
    command = set_(plan=plan(), cost=soles("120000.00"), salvage=soles("12000.00"), available_on=date(2024, 3, 1))
    story = given(ACME, EXCAVATOR).when(command, by=MAX).then(depreciated())
    story.when(command).then_nothing()
    story.and_then(postings(2)).when(command).then_nothing()


def test_what_is_left_out_follows_from_papers_and_policy() -> None:
    given(ACME, PRICED, books(book())).when(set_()).then(depreciated())
    given(ACME, PRICED, books(book())).when(set_(cost=soles("200.00"))).then(
        depreciated(cost=soles("200.00"), salvage=soles("20.00"))
    )
    given(ACME, PRICED).when(set_(plan=plan())).then(depreciated(salvage=soles("0.00")))


def test_terms_can_be_replaced_until_a_period_is_posted() -> None:
    story = given(ACME, PRICED, depreciated())
    shorter = set_(plan=plan(life_months=60), salvage=soles("12000.00"))
    story.when(shorter).then(depreciated(life_months=60))
    story.and_then(postings(1)).when(shorter).then_rejected("depreciation-begun")


def test_terms_need_a_plan_and_a_cost_and_a_machine_in_use() -> None:
    given(ACME, PRICED).when(set_()).then_rejected("plan-missing")
    given(ACME, EXCAVATOR, books(book())).when(set_()).then_rejected("cost-missing")
    given(ACME, PRICED, RETIRED).when(set_(plan=plan())).then_rejected("equipment-retired")
    given(ACME, PRICED).when(set_(plan=plan()), by=TESS).then_rejected("forbidden")


@pytest.mark.parametrize(
    "wrong",
    [
        {"salvage": soles("120000.01")},
        {"salvage": Money(amount="1", currency="USD")},
        {"plan": plan(method=Method.WRITTEN_DOWN_VALUE)},
    ],
)
def test_terms_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    given(ACME, PRICED).when(set_(**{"plan": plan()} | wrong)).then_rejected("terms-impossible")


# --- periods posted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", [ADA, MAX, DEPRECIATION])
def test_periods_are_posted_one_after_the_other_each_once(actor: str) -> None:
    first, second = postings(2)
    assert (first.amount, first.accumulated, first.value) == ("900.00", "900.00", "119100.00")
    story = given(ACME, EXCAVATOR, depreciated()).when(post(), by=actor).then(first)
    story = story.when(post(), by=actor).then_nothing().when(post("2024-04"), by=actor).then(second)
    story.when(post("2024-03"), by=actor).then_nothing()


@pytest.mark.parametrize("actor", [TESS, "system:importer", "key:tablet", OPERATOR])
def test_nobody_else_posts(actor: str) -> None:
    assert given(ACME, EXCAVATOR, depreciated()).when(post(), by=actor).code in ("forbidden", "actor-unknown")


def test_the_agent_that_posts_sends_nothing_else() -> None:
    rename = RenameEquipment(equipment_id="ex-7", name="Digger")
    given(ACME, EXCAVATOR).when(rename, by=DEPRECIATION).then_rejected("actor-unknown")


def test_a_period_that_is_not_the_next_one_is_refused() -> None:
    story = given(ACME, EXCAVATOR, depreciated())
    for period in ("2024-02", "2024-04", "2199-12"):
        story.when(post(period)).then_rejected("period-out-of-order")


def test_a_period_is_posted_on_its_last_day_at_the_earliest() -> None:
    story = given(ACME, EXCAVATOR, depreciated(available_on=date(2026, 11, 1)))
    last_day_in_lima = datetime(2026, 11, 30, 5, tzinfo=UTC)
    story.when(post("2026-11"), at=last_day_in_lima - timedelta(seconds=1)).then_rejected("period-not-over")
    assert story.when(post("2026-11"), at=last_day_in_lima).code is None


def test_a_book_without_terms_has_no_periods() -> None:
    story = given(ACME, EXCAVATOR, depreciated(TAX))
    story.when(post()).then_rejected("depreciation-not-set")
    story.when(revise()).then_rejected("depreciation-not-set")


def test_the_last_period_takes_the_rest_and_nothing_follows() -> None:
    short = {"life_months": 3, "cost": soles("100.00"), "salvage": soles("0.00")}
    first, second, third = postings(3, **short)
    assert [it.amount for it in (first, second, third)] == ["33.33", "33.33", "33.34"]
    story = given(ACME, EXCAVATOR, depreciated(**short), first, second).when(post("2024-05")).then(third)
    story.when(post("2024-06")).then_rejected("depreciation-complete")
    story.when(post("2024-05")).then_nothing()


def test_a_yearly_book_is_posted_by_the_month_that_its_year_ends_with() -> None:
    yearly = {"frequency": Frequency.YEARLY}
    (first,) = postings(1, TAX, **yearly)
    assert (first.period, first.amount) == ("2024-12", "9000.00")
    story = given(ACME, EXCAVATOR, depreciated(TAX, **yearly))
    story.when(post("2024-03", TAX)).then_rejected("period-out-of-order")
    story.when(post("2024-12", TAX)).then(first)


def test_the_books_of_a_machine_are_posted_apart() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), depreciated(TAX, life_months=60), *postings(2))
    (tax,) = postings(1, TAX, life_months=60)
    story.when(post(name=TAX)).then(tax).when(post("2024-05")).then(postings(3)[-1])


def test_a_machine_that_works_by_units_is_charged_for_those_of_the_period() -> None:
    story = given(ACME, EXCAVATOR, depreciated(**BY_UNITS))
    story.when(post()).then_rejected("units-missing")
    posted = story.when(post(units="0"), by=DEPRECIATION)
    assert [fact.event.model_dump()["amount"] for fact in posted.facts] == ["0.00"]
    (fact,) = posted.story.when(post("2024-04", units="2.5")).facts
    assert fact.event.model_dump(include={"amount", "value", "units"}) == {
        **{"amount": "270.00", "value": "119730.00", "units": "2.5"},
    }
    given(ACME, EXCAVATOR, depreciated()).when(post(units="1")).then_rejected("units-not-counted")


def reading(shown: str, **told: Any) -> MeterReadingRecorded:
    return MeterReadingRecorded(equipment_id="ex-7", meter=Meter.HOURS, reading=shown, **told)


def units_of(answer: Answer) -> tuple[str, str]:
    (fact,) = answer.facts
    assert isinstance(fact.event, DepreciationPosted)
    return fact.event.units, fact.event.amount


def test_a_meter_says_what_the_machine_has_worked_since_the_last_posting() -> None:
    metered = depreciated(**BY_UNITS, meter=Meter.HOURS)
    story = given(ACME, EXCAVATOR, reading("5000"), metered, reading("5100"), reading("5102.5"))
    march = story.when(post(), by=DEPRECIATION)
    assert units_of(march) == ("102.5", "11070.00")
    april = march.story.when(post("2024-04"), by=DEPRECIATION)
    assert units_of(april) == ("0", "0.00")
    replaced = april.story.and_then([reading("0", replaced=True), reading("10")])
    assert units_of(replaced.when(post("2024-05"))) == ("10", "1080.00")
    assert units_of(replaced.when(post("2024-05", units="1"))) == ("1", "108.00")


def test_a_meter_that_was_never_read_has_counted_nothing_and_one_counts_no_more_than_the_life() -> None:
    story = given(ACME, EXCAVATOR, depreciated(**BY_UNITS, meter=Meter.HOURS))
    assert units_of(story.when(post())) == ("0", "0.00")
    far = story.and_then([reading("0"), reading("999999999999999"), reading("0", replaced=True)])
    last = far.and_then([reading("999999999999999")]).when(post())
    assert units_of(last) == ("1000", "108000.00")
    last.story.when(post("2024-04")).then_rejected("depreciation-complete")


def test_another_meter_counts_from_the_revision_on() -> None:
    story = given(ACME, EXCAVATOR, reading("0"), depreciated(**BY_UNITS, meter=Meter.CYCLES), reading("70"))
    story = story.when(post()).story.when(revise("2024-04", plan=plan(**BY_UNITS, meter=Meter.HOURS))).story
    assert units_of(story.and_then([reading("80")]).when(post("2024-04"))) == ("10", "1080.00")


def test_a_retired_machine_is_not_posted_any_more_but_a_repeat_does_no_harm() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(1), RETIRED)
    story.when(post("2024-04")).then_rejected("equipment-retired")
    story.when(post("2024-03")).then_nothing()
    story.when(revise("2024-04")).then_rejected("equipment-retired")


def test_the_id_of_a_posting_is_that_of_machine_book_and_period() -> None:
    ids = {
        posting_id("acme", machine, name, period)
        for machine in ("ex-7", "ex-8")
        for name in BookName
        for period in ("2026-10", "2026-11")
    }
    assert len(ids) == 8
    assert posting_id("acme", "ex-7", TAX, "2026-10") in ids


# --- revised --------------------------------------------------------------------------------------------------------


def revised(value: str, **changes: Any) -> DepreciationRevised:
    """From November 2025 on."""
    new = {"terms": terms(**changes), "value": value, "reason": "new estimate"}
    return DepreciationRevised(equipment_id="ex-7", book=FINANCIAL, period="2025-11", **new)


def test_a_longer_life_counts_from_the_next_period_and_a_repeat_adds_nothing() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(20))
    command = revise("2025-11", plan=plan(life_months=220))
    story = story.when(command, by=MAX).then(revised("102000.00", life_months=220)).when(command).then_nothing()
    (fact,) = story.when(post("2025-11")).facts
    assert fact.event.model_dump()["amount"] == "450.00"
    story.when(post("2025-10")).then_nothing()


def test_another_value_or_salvage_value_is_charged_over_the_life_that_is_left() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(20))
    dearer = story.when(revise("2025-11", value=soles("112000.00"))).then(revised("112000.00"))
    assert dearer.when(post("2025-11")).facts[0].event.model_dump()["amount"] == "1000.00"
    scrap = {"salvage": soles("2000.00")}
    cheaper = story.when(revise("2025-11", **scrap)).then(revised("102000.00", **scrap))
    assert cheaper.when(post("2025-11")).facts[0].event.model_dump()["amount"] == "1000.00"


def test_the_largest_values_can_be_charged_and_revalued_within_a_year() -> None:
    largest = "999999999999999.00"
    huge = terms(cost=soles(largest), salvage=soles("0.00"), opening=Opening.YEAR)
    first = DepreciationSet(equipment_id="ex-7", book=FINANCIAL, terms=huge)
    story = given(ACME, EXCAVATOR, first).when(post()).story.when(revise("2024-04", value=soles(largest))).story
    (fact,) = story.when(post("2024-04")).facts
    assert fact.event.model_dump(include={"opening", "amount"}) == {
        **{"opening": "1008333333333332.33", "amount": "8403361344537.81"},
    }


def test_a_revision_names_the_period_that_it_begins_with() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(2))
    for period in ("2024-03", "2024-04", "2024-06"):
        story.when(revise(period, value=soles("50000.00"))).then_rejected("period-out-of-order")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"plan": plan(convention=Convention.DAILY)}, "calendar-fixed"),
        ({"plan": plan(frequency=Frequency.YEARLY)}, "calendar-fixed"),
        ({"plan": plan(life_months=2)}, "life-over"),
        ({"value": Money(amount="1", currency="USD")}, "terms-impossible"),
        ({"value": soles("11999.99")}, "terms-impossible"),
        ({"salvage": soles("119000.00")}, "terms-impossible"),
        ({"salvage": soles("0"), "plan": plan(method=Method.WRITTEN_DOWN_VALUE)}, "terms-impossible"),
    ],
)
def test_a_revision_that_cannot_be_is_refused(change: dict[str, Any], code: str) -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(2))
    assert story.when(revise("2024-05", **change)).code == code


def test_these_refusals_of_a_revision_have_their_codes() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(2))
    story.when(revise("2024-05", plan=plan(year_starts=7))).then_rejected("calendar-fixed")
    story.when(revise("2024-05", plan=plan(life_months=1))).then_rejected("life-over")


def test_what_has_not_begun_is_set_and_not_revised() -> None:
    given(ACME, EXCAVATOR, depreciated()).when(revise()).then_rejected("depreciation-not-begun")


def test_only_managers_revise() -> None:
    given(ACME, EXCAVATOR, depreciated()).when(revise(), by=TESS).then_rejected("forbidden")


# --- the end --------------------------------------------------------------------------------------------------------


def retired(*disposals: Disposal, proceeds: Money | None = None) -> EquipmentRetired:
    return RETIRED.model_copy(update={"proceeds": proceeds, "disposals": disposals})


def test_a_machine_that_is_sold_is_depreciated_to_the_day_and_its_gain_is_told_for_each_book() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), depreciated(TAX, life_months=30), postings(2))
    sold = RetireEquipment(equipment_id="ex-7", reason="worn out", proceeds=soles("100000.00"))
    financial = Disposal(book=FINANCIAL, currency="PEN", depreciation="27900.00", value="90300.00", gain="9700.00")
    tax = Disposal(book=TAX, currency="PEN", depreciation="108000.00", value="12000.00", gain="88000.00")
    story.when(sold, by=MAX).then(retired(financial, tax, proceeds=soles("100000.00")))


def test_a_machine_that_goes_is_charged_for_what_its_meter_has_counted() -> None:
    story = given(ACME, EXCAVATOR, reading("0"), depreciated(**BY_UNITS, meter=Meter.HOURS), reading("100"))
    gone = Disposal(book=FINANCIAL, currency="PEN", depreciation="10800.00", value="109200.00", gain="-109200.00")
    story.when(RetireEquipment(equipment_id="ex-7", reason="worn out"), by=MAX).then(retired(gone))


def test_a_machine_that_is_scrapped_loses_the_value_that_it_had() -> None:
    story = given(ACME, EXCAVATOR, depreciated(available_on=date(2026, 11, 20)))
    lost = Disposal(book=FINANCIAL, currency="PEN", depreciation="0.00", value="120000.00", gain="-120000.00")
    story.when(RetireEquipment(equipment_id="ex-7", reason="worn out"), by=MAX).then(retired(lost))


def test_proceeds_are_in_the_currency_of_the_books() -> None:
    sold = RetireEquipment(equipment_id="ex-7", reason="worn out", proceeds=Money(amount="1", currency="USD"))
    given(ACME, EXCAVATOR, depreciated()).when(sold, by=MAX).then_rejected("proceeds-in-other-currency")
    given(ACME, EXCAVATOR).when(sold, by=MAX).then(retired(proceeds=sold.proceeds))


# --- held for sale --------------------------------------------------------------------------------------------------


def hold(day: date | None = None) -> HoldForSale:
    return HoldForSale(equipment_id="ex-7", held_on=day)


def keep(day: date | None = None) -> WithdrawFromSale:
    return WithdrawFromSale(equipment_id="ex-7", withdrawn_on=day)


def held(day: date, *books: TermsOfBook) -> EquipmentHeldForSale:
    return EquipmentHeldForSale(equipment_id="ex-7", held_on=day, books=books)


def kept(day: date, *books: TermsOfBook) -> EquipmentWithdrawnFromSale:
    return EquipmentWithdrawnFromSale(equipment_id="ex-7", withdrawn_on=day, books=books)


def paused(since: date, until: date | None = None, posted_until: date | None = None) -> TermsOfBook:
    pause = Pause(since=since, until=until, posted_until=posted_until)
    return TermsOfBook(book=FINANCIAL, terms=terms(pauses=(pause,)))


JUNE, OCTOBER = date(2024, 6, 20), date(2024, 10, 10)


def test_a_machine_that_is_for_sale_is_not_depreciated_until_it_is_kept() -> None:
    """900 a month from March 2024, three posted: 117,300.

    June counts in full, as the sale began after its 15th: 116,400. Kept on 10 October, so October counts in full:
    July, August and September cost nothing, October 900 again.
    """
    may = date(2024, 5, 31)
    story = given(ACME, EXCAVATOR, depreciated(), postings(3))
    story = story.when(hold(JUNE), by=MAX).then(held(JUNE, paused(JUNE, posted_until=may)))
    story = story.when(hold(JUNE)).then_nothing().when(hold()).then_nothing()
    story = story.when(post("2024-06")).then(postings(4)[-1])
    story.when(post("2024-07")).then_rejected("depreciation-paused")
    story = story.when(keep(OCTOBER), by=MAX).then(kept(OCTOBER, paused(JUNE, OCTOBER, may)))
    story = story.when(keep(OCTOBER)).then_nothing().when(keep()).then_nothing()
    charged = []
    for period in ("2024-07", "2024-08", "2024-09", "2024-10"):
        answer = story.when(post(period))
        charged.append(answer.facts[0].event.model_dump(include={"amount", "value"}))
        story = answer.story
    assert charged == [
        *[{"amount": "0.00", "value": "116400.00"}] * 3,
        {"amount": "900.00", "value": "115500.00"},
    ]


def test_a_machine_that_is_sold_has_the_value_that_it_had_when_it_was_put_up_for_sale() -> None:
    """116,400 as above, sold two years later for 100,000: a loss of 16,400; 900 are still to be charged."""
    story = given(ACME, EXCAVATOR, depreciated(), postings(3)).when(hold(JUNE)).story
    sold = RetireEquipment(equipment_id="ex-7", reason="worn out", proceeds=soles("100000.00"))
    loss = Disposal(book=FINANCIAL, currency="PEN", depreciation="900.00", value="116400.00", gain="-16400.00")
    story.when(sold, by=MAX).then(retired(loss, proceeds=soles("100000.00")))


def test_what_a_meter_counts_while_the_machine_is_for_sale_is_no_work() -> None:
    """108,000 over 1,000 units is 108 a unit: 100 are worked before the sale, 7 shown to buyers, 5 after it."""
    story = given(ACME, EXCAVATOR, reading("0"), depreciated(**BY_UNITS, meter=Meter.HOURS), reading("100"))
    story = story.when(hold(date(2024, 3, 20))).story.and_then([reading("107")])
    march = story.when(post())
    assert units_of(march) == ("100", "10800.00")
    march.story.when(post("2024-04")).then_rejected("depreciation-paused")
    story = march.story.when(keep(date(2024, 4, 1))).story.and_then([reading("112")])
    assert units_of(story.when(post("2024-04"))) == ("5", "540.00")


def test_terms_that_are_set_while_the_machine_is_for_sale_know_it() -> None:
    story = given(ACME, PRICED).when(hold(JUNE)).then(held(JUNE))
    answer = story.when(set_(plan=plan(), salvage=soles("12000.00"))).then(depreciated(pauses=(Pause(since=JUNE),)))
    answer = answer.when(set_(plan=plan(), salvage=soles("12000.00"))).then_nothing()
    answer.when(keep(OCTOBER)).then(kept(OCTOBER, paused(JUNE, OCTOBER)))


def test_a_machine_for_sale_can_lose_value_and_have_another_plan() -> None:
    story = given(ACME, EXCAVATOR, depreciated(), postings(4)).when(hold(JUNE)).story
    (fact,) = story.when(revise("2024-07", value=soles("100000.00"))).facts
    assert isinstance(fact.event, DepreciationRevised)
    assert fact.event.value == "100000.00"
    assert fact.event.terms.pauses[0].since == JUNE


def test_a_sale_has_one_beginning_and_one_end_and_sales_follow_each_other() -> None:
    story = given(ACME, EXCAVATOR, held(JUNE))
    story.when(hold(OCTOBER)).then_rejected("equipment-for-sale")
    story.when(keep(date(2024, 6, 19))).then_rejected("withdrawn-before-held")
    story = story.and_then([kept(OCTOBER)])
    story.when(keep(TODAY)).then_rejected("equipment-not-for-sale")
    story.when(hold(date(2024, 10, 9))).then_rejected("equipment-for-sale")
    story.when(hold(OCTOBER)).then(held(OCTOBER))
    given(ACME, EXCAVATOR).when(keep()).then_rejected("equipment-not-for-sale")


def test_a_sale_begins_and_ends_within_the_machine_s_service_and_not_in_the_future() -> None:
    story = given(ACME, EXCAVATOR)
    story.when(hold()).then(held(TODAY)).when(keep()).then(kept(TODAY))
    story.when(hold(TODAY + timedelta(days=1))).then_rejected("happened-in-future")
    story.when(hold(date(2023, 1, 1))).then_rejected("happened-before-service")
    gone = story.and_then([RETIRED])
    gone.when(hold()).then_rejected("equipment-retired")
    gone.when(keep()).then_rejected("equipment-retired")


@pytest.mark.parametrize("actor", [TESS, DEPRECIATION, OPERATOR])
def test_only_managers_put_machines_up_for_sale(actor: str) -> None:
    for_sale = given(ACME, EXCAVATOR, held(JUNE))
    assert given(ACME, EXCAVATOR).when(hold(), by=actor).code in ("forbidden", "actor-unknown")
    assert for_sale.when(keep(), by=actor).code in ("forbidden", "actor-unknown")


def test_holding_and_keeping_take_each_other_back() -> None:
    (offered,) = given(ACME, EXCAVATOR, depreciated()).when(hold(JUNE)).facts
    assert offered.event.inverse() == keep(JUNE)
    story = given(ACME, EXCAVATOR, depreciated(), held(JUNE, paused(JUNE))).when(keep(JUNE)).story
    assert [fact.event.model_dump()["amount"] for fact in story.when(post()).facts] == ["900.00"]
    assert kept(OCTOBER).inverse() == hold(OCTOBER)


def test_decades_of_months_that_nobody_posted_are_one_charge_at_the_end() -> None:
    long = depreciated(available_on=date(1950, 1, 1), life_months=1200)
    (fact,) = given(ACME, EXCAVATOR, long).when(RetireEquipment(equipment_id="ex-7", reason="old"), at=NOW).facts
    assert isinstance(fact.event, EquipmentRetired)
    (closed,) = fact.event.disposals
    assert Decimal(closed.depreciation) == (Decimal(108000) / 1200 * (76 * 12 + 11)).quantize(Decimal("0.01"))


def test_a_machine_keeps_terms_that_it_got_before_the_policy_changed() -> None:
    story = given(ACME, books(book())).when(create()).then(PRICED, depreciated())
    later = story.and_then([books(book(life_months=60)), policy(minimum_notice_days=1)])
    later.when(post()).then(postings(1)[0])
    later.when(set_()).then(DepreciationSet(equipment_id="ex-7", book=FINANCIAL, terms=terms(life_months=60)))
