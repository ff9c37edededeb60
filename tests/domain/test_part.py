"""Parts are received, reserved, issued for jobs, returned, counted and adjusted; their average cost moves along."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from domain.company import CompanySettingsUpdated
from domain.equipment import MaintenanceCancelled
from domain.model import Command
from domain.part import (
    MOST_RESERVATIONS,
    REMEMBERED,
    AdjustStock,
    CountStock,
    DefinePart,
    IssueStock,
    PartDefined,
    ReceiveStock,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    StockAdjusted,
    StockCounted,
    StockFellBelowMinimum,
    StockIssued,
    StockLevel,
    StockReceived,
    StockReleased,
    StockReserved,
    StockReturned,
    UnitCost,
    average_cost,
    part,
)
from tests.domain.acme import ACME, EXCAVATOR, FILTER, MAX, OPERATOR, TESS, VIC, received, scheduled
from tests.domain.scenario import Story, given

WORKSHOP = given(ACME, EXCAVATOR, scheduled("oil"), scheduled("belts"), FILTER)
DEFINE = DefinePart(part_id="filter", name="Oil filter", unit="pc", minimum="4", reorder_quantity="10")


def stocked(quantity: str = "10", cost: str = "2.50") -> Story:
    """The workshop with so many filters on the shelf."""
    return WORKSHOP.and_then([received(quantity, cost)])


def cost(amount: str, currency: str = "PEN") -> UnitCost:
    return UnitCost(amount=amount, currency=currency)


def level(balance: str, average: str = "2.5", reserved: str = "0") -> StockLevel:
    return StockLevel(balance=balance, reserved=reserved, average_cost=average)


def receive(quantity: str, amount: str = "2.50", movement_id: str = "more") -> ReceiveStock:
    return ReceiveStock(part_id="filter", movement_id=movement_id, quantity=quantity, unit_cost=cost(amount))


def issue(quantity: str, job_id: str = "oil", movement_id: str = "take") -> IssueStock:
    return IssueStock(part_id="filter", movement_id=movement_id, equipment_id="ex-7", job_id=job_id, quantity=quantity)


def issued(quantity: str, after: StockLevel, job_id: str = "oil", amount: str = "2.5") -> StockIssued:
    return StockIssued(**vars(issue(quantity, job_id)), unit_cost=cost(amount), after=after)


def bring_back(quantity: str, issue_id: str = "take", movement_id: str = "back") -> ReturnStock:
    return ReturnStock(part_id="filter", movement_id=movement_id, issue_id=issue_id, quantity=quantity)


def count(counted: str, movement_id: str = "count") -> CountStock:
    return CountStock(part_id="filter", movement_id=movement_id, counted=counted)


def adjust(difference: str, movement_id: str = "fix") -> AdjustStock:
    return AdjustStock(part_id="filter", movement_id=movement_id, difference=difference, reason="Broken in transit")


def reserve(quantity: str, job_id: str = "oil", movement_id: str = "keep") -> ReserveStock:
    return ReserveStock(
        part_id="filter", movement_id=movement_id, equipment_id="ex-7", job_id=job_id, quantity=quantity
    )


def reserved(
    quantity: str, after: StockLevel, job_id: str = "oil", movement_id: str = "keep", previous: str = "0"
) -> StockReserved:
    return StockReserved(
        part_id="filter",
        movement_id=movement_id,
        equipment_id="ex-7",
        job_id=job_id,
        quantity=quantity,
        after=after,
        previous=previous,
    )


def release(job_id: str = "oil", movement_id: str = "free") -> ReleaseStock:
    return ReleaseStock(part_id="filter", movement_id=movement_id, equipment_id="ex-7", job_id=job_id)


def released(quantity: str, after: StockLevel, job_id: str = "oil", movement_id: str = "free") -> StockReleased:
    return StockReleased(
        part_id="filter",
        movement_id=movement_id,
        equipment_id="ex-7",
        job_id=job_id,
        quantity=quantity,
        after=after,
    )


def below(balance: str) -> StockFellBelowMinimum:
    return StockFellBelowMinimum(part_id="filter", balance=balance, minimum="4", reorder_quantity="10")


# --- defined --------------------------------------------------------------------------------------------------------


def test_a_manager_defines_a_part_that_is_valued_in_the_company_s_currency() -> None:
    given(ACME).when(DEFINE, by=MAX).then(PartDefined(**vars(DEFINE), currency="PEN"))


def test_defined_twice_is_refused_the_second_time() -> None:
    given(ACME, FILTER).when(DEFINE).then_rejected("part-exists")


@pytest.mark.parametrize("actor", [TESS, VIC, OPERATOR])
def test_nobody_else_defines_parts(actor: str) -> None:
    given(ACME).when(DEFINE, by=actor).then_rejected("forbidden")


def test_what_is_not_defined_has_no_stock() -> None:
    given(ACME).when(receive("1")).then_rejected("part-unknown")


@pytest.mark.parametrize(
    "quantity", ["0", "0.0000", "-1", "1.00005", "1e3", "NaN", "Infinity", "1000000000", "007", ""]
)
def test_a_quantity_is_positive_and_bounded_decimal_digits(quantity: str) -> None:
    sent = receive("1").model_dump_json().replace('"quantity":"1"', f'"quantity":"{quantity}"').encode()
    WORKSHOP.when_sent(ReceiveStock, sent, about="filter").then_rejected("invalid", "quantity")


# --- received -------------------------------------------------------------------------------------------------------


def test_what_is_delivered_adds_to_the_balance_and_moves_the_average() -> None:
    story = WORKSHOP.when(receive("10", "2.50", "first"), by=MAX).then(received("10", "2.50", "first"))
    story.when(receive("5", "4")).then(
        StockReceived(part_id="filter", movement_id="more", quantity="5", unit_cost=cost("4"), after=level("15", "3"))
    )


def test_received_twice_is_once() -> None:
    story = WORKSHOP.when(receive("10")).then(received("10", movement_id="more"))
    story.when(receive("10")).then_nothing()


def test_a_part_keeps_the_currency_in_which_it_was_defined() -> None:
    dollars = ReceiveStock(part_id="filter", movement_id="x", quantity="1", unit_cost=cost("1", "USD"))
    WORKSHOP.when(dollars).then_rejected("stock-currency-differs")


def test_a_balance_has_no_more_than_nine_digits() -> None:
    story = stocked("999999999.9999")
    story.when(receive("0.0001")).then_rejected("stock-beyond-bounds")


def test_technicians_receive_nothing() -> None:
    WORKSHOP.when(receive("1"), by=TESS).then_rejected("forbidden")


@pytest.mark.parametrize(
    ("held", "average", "came", "at", "then"),
    [
        ("10", "2.5", "5", "4", "3"),
        ("1", "1", "2", "2", "1.666667"),
        ("2", "1", "1", "2", "1.333333"),
        ("1", "0.000001", "1", "0.000002", "0.000002"),  # half up
        ("0", "9", "1", "2", "2"),
        ("-3", "9", "1", "2", "2"),
        ("999999998", "999999999.999999", "1", "0", "999999998.999999"),
    ],
)
def test_the_average_is_weighed_by_quantity_and_rounded_half_up_to_six_places(
    held: str, average: str, came: str, at: str, then: str
) -> None:
    assert average_cost(Decimal(held), Decimal(average), Decimal(came), Decimal(at)) == Decimal(then)


# --- issued ---------------------------------------------------------------------------------------------------------


def test_a_technician_takes_parts_for_an_open_job_at_the_average_of_that_moment() -> None:
    story = stocked().when(issue("3"), by=TESS).then(issued("3", level("7")))
    story.when(receive("7", "5")).then(
        StockReceived(
            part_id="filter", movement_id="more", quantity="7", unit_cost=cost("5"), after=level("14", "3.75")
        )
    )


def test_issued_twice_is_once() -> None:
    stocked().when(issue("3")).then(issued("3", level("7"))).when(issue("3")).then_nothing()


def test_parts_go_to_an_open_job_of_a_machine() -> None:
    stocked().when(issue("3", "paint")).then_rejected("job-unknown")
    cancelled = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="rain")
    stocked().and_then([cancelled]).when(issue("3")).then_rejected("job-unknown")
    nowhere = issue("3").model_copy(update={"equipment_id": "ex-9"})
    stocked().when(nowhere).then_rejected("equipment-unknown")


def test_no_more_is_issued_than_there_is() -> None:
    stocked().when(issue("10.0001")).then_rejected("stock-too-low")
    stocked().when(issue("10")).then(issued("10", level("0")), below("0"))
    WORKSHOP.when(issue("1")).then_rejected("stock-too-low")


def test_a_company_may_let_balances_fall_below_zero_but_not_into_what_is_reserved() -> None:
    lenient = CompanySettingsUpdated(company_id="acme", allow_negative_stock=True)
    story = stocked().and_then([lenient])
    story.when(adjust("-10.5")).then(adjusted("-10.5", level("-0.5")), below("-0.5"))
    owing = story.when(issue("12")).then(issued("12", level("-2")), below("-2"))
    owing.when(receive("5", "4")).then(received("5", "4", "more", level("3", "4")))
    story.and_then([reserved("8", level("10", reserved="8"))]).when(issue("12", "belts")).then_rejected(
        "stock-reserved"
    )


def test_viewers_take_nothing() -> None:
    stocked().when(issue("1"), by=VIC).then_rejected("forbidden")


def test_the_alarm_is_given_when_the_balance_falls_below_the_minimum_and_not_again() -> None:
    story = stocked().when(issue("6")).then(issued("6", level("4")))
    story = story.when(issue("1", movement_id="b")).then(
        issued("1", level("3")).model_copy(update={"movement_id": "b"}), below("3")
    )
    story.when(issue("1", movement_id="c")).then(issued("1", level("2")).model_copy(update={"movement_id": "c"}))


# --- reserved -------------------------------------------------------------------------------------------------------


def test_what_is_reserved_for_a_job_is_not_for_others() -> None:
    story = stocked().when(reserve("8"), by=TESS).then(reserved("8", level("10", reserved="8")))
    story.when(issue("3", "belts")).then_rejected("stock-reserved")
    story.when(reserve("3", "belts", "keep-2")).then_rejected("stock-reserved")
    story.when(issue("2", "belts")).then(issued("2", level("8", reserved="8"), "belts"))


def test_an_issue_uses_up_the_reservation_of_its_job() -> None:
    story = stocked().when(reserve("4")).then(reserved("4", level("10", reserved="4")))
    story.when(issue("3")).then(issued("3", level("7", reserved="1")))
    story.when(issue("6")).then(issued("6", level("4")))
    story.when(issue("10")).then(issued("10", level("0")), below("0"))


def test_reserved_twice_is_once_and_another_wish_replaces_the_first() -> None:
    story = stocked().when(reserve("8")).then(reserved("8", level("10", reserved="8")))
    story.when(reserve("8")).then_nothing()
    story.when(reserve("10", movement_id="keep-2")).then(
        reserved("10", level("10", reserved="10"), movement_id="keep-2", previous="8")
    )


def test_only_what_is_there_is_reserved_for_a_job_that_is_open() -> None:
    stocked().when(reserve("11")).then_rejected("stock-too-low")
    stocked().when(reserve("1", "paint")).then_rejected("job-unknown")


def test_a_part_is_reserved_for_a_bounded_number_of_jobs() -> None:
    story = stocked("10000")
    kept = level("10000", reserved=str(MOST_RESERVATIONS))
    jobs = [reserved("1", kept, f"job-{n}", f"keep-{n}") for n in range(MOST_RESERVATIONS)]
    story.and_then(list(jobs)).when(reserve("1", movement_id="last")).then_rejected("too-many-reservations")


def test_what_is_released_is_for_anybody_and_a_repeat_adds_nothing() -> None:
    story = stocked().when(reserve("8")).then(reserved("8", level("10", reserved="8")))
    story = story.when(release(), by=TESS).then(released("8", level("10")))
    story.when(release()).then_nothing()
    story.when(issue("10", "belts")).then(issued("10", level("0"), "belts"), below("0"))


def test_a_late_repeat_of_a_release_leaves_a_newer_reservation() -> None:
    story = stocked().and_then([reserved("8", level("10", reserved="8"))])
    story = story.and_then([released("8", level("10"))])
    story.and_then([reserved("2", level("10", reserved="2"), movement_id="keep-2")]).when(release()).then_nothing()


def test_what_is_reserved_for_a_job_that_has_ended_can_be_released() -> None:
    cancelled = MaintenanceCancelled(equipment_id="ex-7", job_id="oil", reason="rain")
    story = stocked().and_then([reserved("8", level("10", reserved="8"))]).and_then([cancelled])
    story.when(release()).then(released("8", level("10")))


# --- reservations taken back ----------------------------------------------------------------------------------------


def undo(event: StockReserved | StockReleased) -> ReserveStock | ReleaseStock:
    command = event.inverse()
    assert isinstance(command, ReserveStock | ReleaseStock)
    return command


def test_a_reservation_is_taken_back_by_its_release_and_only_once() -> None:
    event = reserved("8", level("10", reserved="8"))
    command = undo(event)
    story = stocked().and_then([event]).when(command)
    story = story.then(released("8", level("10"), movement_id=command.movement_id))
    story.when(command).then_nothing()


def test_a_reservation_in_place_of_another_is_taken_back_to_that_one() -> None:
    event = reserved("10", level("10", reserved="10"), movement_id="keep-2", previous="8")
    command = undo(event)
    story = stocked().and_then([reserved("8", level("10", reserved="8")), event]).when(command)
    after = level("10", reserved="8")
    story.then(reserved("8", after, movement_id=command.movement_id, previous="10")).when(command).then_nothing()


def test_a_release_is_taken_back_by_a_reservation() -> None:
    event = released("8", level("10"))
    command = undo(event)
    story = stocked().and_then([reserved("8", level("10", reserved="8")), event]).when(command)
    story.then(reserved("8", level("10", reserved="8"), movement_id=command.movement_id))


def test_a_reservation_that_has_changed_since_is_not_taken_back() -> None:
    first, second = reserved("8", level("10", reserved="8")), reserved("3", level("10", reserved="3"), "oil", "b", "8")
    stocked().and_then([first, second]).when(undo(first)).then_rejected("changed-since")
    stocked().and_then([released("8", level("10")), second]).when(undo(released("8", level("10")))).then_rejected(
        "changed-since"
    )


def test_a_reservation_of_which_it_is_not_known_what_it_replaced_cannot_be_taken_back() -> None:
    assert reserved("8", level("10", reserved="8")).model_copy(update={"previous": None}).inverse() is None


# --- returned -------------------------------------------------------------------------------------------------------


def returned(quantity: str, after: StockLevel, movement_id: str = "back") -> StockReturned:
    command = bring_back(quantity, movement_id=movement_id)
    return StockReturned(**vars(command), equipment_id="ex-7", job_id="oil", unit_cost=cost("2.5"), after=after)


def test_what_a_job_did_not_need_comes_back_at_the_cost_of_its_issue() -> None:
    story = stocked().and_then([issued("6", level("4"))]).and_then([received("4", "5", "new", level("8", "3.75"))])
    story.when(bring_back("2"), by=TESS).then(returned("2", level("10", "3.5")))


def test_returned_twice_is_once_and_no_more_than_was_taken() -> None:
    story = stocked().and_then([issued("6", level("4"))])
    story = story.when(bring_back("4")).then(returned("4", level("8")))
    story.when(bring_back("4")).then_nothing()
    story.when(bring_back("3", movement_id="b")).then_rejected("more-than-issued")
    story.when(bring_back("2", movement_id="b")).then(returned("2", level("10"), "b"))


def test_only_an_issue_of_the_part_is_returned() -> None:
    stocked().when(bring_back("1", "nothing")).then_rejected("issue-unknown")
    stocked().when(bring_back("1", "in")).then_rejected("issue-unknown")


# --- counted and adjusted -------------------------------------------------------------------------------------------


def counted(found: str, difference: str, after: StockLevel) -> StockCounted:
    return StockCounted(**vars(count(found)), difference=difference, unit_cost=cost("2.5"), after=after)


def test_a_count_sets_the_balance_at_the_average_cost() -> None:
    stocked().when(count("12"), by=MAX).then(counted("12", "2", level("12")))
    stocked().when(count("10.0")).then(counted("10.0", "0", level("10")))
    stocked().when(count("3.5")).then(counted("3.5", "-6.5", level("3.5")), below("3.5"))


def test_counted_twice_is_booked_once() -> None:
    story = stocked().when(count("12")).then(counted("12", "2", level("12")))
    story.when(count("12")).then_nothing()
    story.when(count("12"), by=TESS).then_rejected("forbidden")


def test_a_count_may_find_less_than_is_reserved_and_the_job_still_has_the_first_right() -> None:
    story = stocked().and_then([reserved("8", level("10", reserved="8"))])
    story = story.when(count("5")).then(counted("5", "-5", level("5", reserved="8")))
    story.when(issue("1", "belts")).then_rejected("stock-reserved")
    story.when(issue("5")).then(issued("5", level("0", reserved="3")), below("0"))


def adjusted(difference: str, after: StockLevel) -> StockAdjusted:
    return StockAdjusted(**vars(adjust(difference)), unit_cost=cost("2.5"), after=after)


def test_an_adjustment_adds_or_takes_for_a_reason_and_a_repeat_adds_nothing() -> None:
    story = stocked().when(adjust("-7"), by=MAX).then(adjusted("-7", level("3")), below("3"))
    story.when(adjust("-7")).then_nothing()
    stocked().when(adjust("0.5")).then(adjusted("0.5", level("10.5")))


def test_an_adjustment_takes_no_more_than_there_is() -> None:
    stocked().when(adjust("-10.5")).then_rejected("stock-too-low")
    stocked().when(adjust("-1"), by=TESS).then_rejected("forbidden")


# --- whatever happens -----------------------------------------------------------------------------------------------


def test_the_latest_movements_are_known_again_and_older_ones_are_forgotten() -> None:
    story = WORKSHOP.and_then([received("1", movement_id=f"in-{n}") for n in range(REMEMBERED + 1)])
    story.when(receive("1", movement_id="in-1")).then_nothing()
    assert story.when(receive("1", movement_id="in-0")).facts


def wish(dice: Random, number: int) -> Command:
    quantity, job = f"{dice.randrange(1, 400) / 10}", dice.choice(["oil", "belts"])
    movement = f"m-{dice.randrange(max(number - 8, 0), number + 1)}"
    amount = f"{dice.randrange(1, 100_000) / 10_000:.4f}"
    earlier = f"m-{dice.randrange(number + 1)}"
    wishes: list[Command] = [
        receive(quantity, amount, movement),
        issue(quantity, job, movement),
        bring_back(quantity, earlier, movement),
        count(quantity, movement),
        adjust(dice.choice(["", "-"]) + quantity, movement),
        reserve(quantity, job, movement),
        release(job, movement),
    ]
    return dice.choices(wishes, weights=[4, 6, 4, 1, 1, 3, 1])[0]


def change_of(event: Any) -> Decimal:
    """How the ledger says that the balance moved."""
    match event:
        case StockReceived() | StockReturned():
            return Decimal(event.quantity)
        case StockIssued():
            return -Decimal(event.quantity)
        case StockCounted() | StockAdjusted():
            return Decimal(event.difference)
        case _:
            return Decimal(0)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(12))
def test_the_balance_is_the_sum_of_movements_never_below_zero_at_an_average_between_the_costs(seed: int) -> None:
    dice, story = Random(seed), WORKSHOP.when(receive("20", "3", "start")).story
    costs, balance = [Decimal(3)], Decimal(20)
    for number in range(80):
        answer = story.when(wish(dice, number))
        story, before = answer.story, balance
        events: list[Any] = [fact.event for fact in answer.facts]
        costs += [Decimal(event.unit_cost.amount) for event in events if isinstance(event, StockReceived)]
        balance += sum(map(change_of, events))
        assert (StockFellBelowMinimum in map(type, events)) == (before >= 4 > balance)
        for after in (event.after for event in events if not isinstance(event, StockFellBelowMinimum)):
            assert Decimal(after.balance) == balance >= 0
            assert min(costs) <= Decimal(after.average_cost) <= max(costs)
    assert len(costs) > 5


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(12))
def test_what_is_reserved_is_the_sum_of_what_jobs_have_reserved(seed: int) -> None:
    dice, story, state = Random(seed), stocked(), part.initial
    for number in range(80):
        answer = story.when(wish(dice, number))
        story = answer.story
        for fact in answer.facts:
            state = part.evolve(state, fact.event)
            assert sum(map(Decimal, state.reservations.values())) == Decimal(state.level.reserved)
