"""Machines break down without a plan and are repaired; what happened is told at once or later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.equipment import (
    BreakdownAbandoned,
    EquipmentBrokeDown,
    EquipmentRepaired,
    EquipmentRetired,
    ReportBreakdown,
    ReportRepaired,
    RetireEquipment,
)
from domain.model import Money
from tests.domain.acme import ACME, BROKEN, EXCAVATOR, LENT, OPERATOR, TESS, TODAY, VIC, scheduled, started
from tests.domain.scenario import BEFORE, NOW, given

HOUR = timedelta(hours=1)
RETIRED = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:ada", retired_date=TODAY)
ABANDONED = BreakdownAbandoned(equipment_id="ex-7", breakdown_id="hose")


def report(breakdown_id: str = "hose", **told: Any) -> ReportBreakdown:
    return ReportBreakdown(equipment_id="ex-7", breakdown_id=breakdown_id, **told)


def broken(breakdown_id: str = "hose", moment: datetime = NOW, **told: Any) -> EquipmentBrokeDown:
    return EquipmentBrokeDown(equipment_id="ex-7", breakdown_id=breakdown_id, effective_at=moment, **told)


def repair(breakdown_id: str = "hose", **told: Any) -> ReportRepaired:
    return ReportRepaired(equipment_id="ex-7", breakdown_id=breakdown_id, **{"repaired_by": "tess"} | told)


def repaired(breakdown_id: str = "hose", moment: datetime = NOW, **told: Any) -> EquipmentRepaired:
    return EquipmentRepaired(
        equipment_id="ex-7", breakdown_id=breakdown_id, **{"repaired_by": "tess"} | told, effective_at=moment
    )


# --- broken down ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("past", [[], [LENT], [scheduled(), started()]])
def test_a_machine_breaks_down_whatever_it_does_and_a_repeat_adds_nothing(past: list[Any]) -> None:
    told = {"description": "Oil everywhere"}
    given(ACME, EXCAVATOR, *past).when(report(**told), by=TESS).then(broken(**told)).when(
        report(**told), at=NOW + HOUR
    ).then_nothing()


def test_a_breakdown_may_be_told_later() -> None:
    given(ACME, EXCAVATOR).when(report(happened_at=NOW - 50 * HOUR)).then(broken(moment=NOW - 50 * HOUR))


def test_a_breakdown_lies_in_the_machine_s_service_and_not_in_the_future() -> None:
    story = given(ACME, EXCAVATOR)
    first_minute = datetime(2024, 3, 1, 5, tzinfo=UTC)  # midnight in Lima
    story.when(report(happened_at=first_minute)).then(broken(moment=first_minute))
    story.when(report(happened_at=first_minute - HOUR / 60)).then_rejected("happened-before-service")
    story.when(report(happened_at=NOW + HOUR / 60)).then_rejected("happened-in-future")


def test_a_broken_machine_does_not_break_down_again_before_it_is_repaired() -> None:
    given(ACME, EXCAVATOR, BROKEN).when(report("pump")).then_rejected("equipment-broken-down")
    given(ACME, EXCAVATOR, BROKEN, repaired()).when(report("pump")).then(broken("pump"))


def test_a_breakdown_that_was_repaired_and_is_told_again_adds_nothing() -> None:
    given(ACME, EXCAVATOR, BROKEN, repaired()).when(report()).then_nothing()


def test_only_a_machine_that_is_there_and_in_use_breaks_down() -> None:
    given(ACME).when(report()).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, RETIRED).when(report()).then_rejected("equipment-retired")
    for actor in (VIC, OPERATOR):
        given(ACME, EXCAVATOR).when(report(), by=actor).then_rejected("forbidden")


# --- repaired -------------------------------------------------------------------------------------------------------


def test_a_repair_keeps_labour_cost_and_cause_and_a_repeat_adds_nothing() -> None:
    work = {
        "labour_minutes": 90,
        "cost": Money(amount="120.50", currency="PEN"),
        "cause": "Hose chafed through",
        "notes": "Hose\nand clamps.",
    }
    given(ACME, EXCAVATOR, BROKEN).when(repair(**work), by=TESS).then(repaired(**work)).when(
        repair(**work), at=NOW + HOUR
    ).then_nothing()


def test_a_repair_may_be_told_later_but_lies_between_breakdown_and_now() -> None:
    story = given(ACME, EXCAVATOR, BROKEN)
    story.when(repair(repaired_at=BEFORE)).then(repaired(moment=BEFORE))
    story.when(repair(repaired_at=BEFORE - HOUR)).then_rejected("repaired-before-breakdown")
    story.when(repair(repaired_at=NOW + HOUR)).then_rejected("happened-in-future")


def test_only_the_open_breakdown_is_repaired() -> None:
    given(ACME).when(repair()).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR).when(repair()).then_rejected("breakdown-unknown")
    given(ACME, EXCAVATOR, BROKEN).when(repair("pump")).then_rejected("breakdown-unknown")
    given(ACME, EXCAVATOR, BROKEN, ABANDONED, RETIRED).when(repair()).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR, BROKEN).when(repair(), by=VIC).then_rejected("forbidden")


def test_whoever_repaired_it_is_somebody_of_the_company() -> None:
    given(ACME, EXCAVATOR, BROKEN).when(repair(repaired_by="nobody")).then_rejected("technician-unknown")


# --- retired broken -------------------------------------------------------------------------------------------------


def test_a_broken_machine_is_retired_and_its_downtime_ends() -> None:
    given(ACME, EXCAVATOR, BROKEN).when(RetireEquipment(equipment_id="ex-7", reason="worn out")).then(
        ABANDONED, RETIRED
    )
