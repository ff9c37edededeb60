"""Meters of a machine are read; they run forward unless they were replaced."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.equipment import EquipmentRetired, MeterReadingRecorded, RecordMeterReading
from domain.maintenance import Meter
from tests.domain.acme import ACME, EXCAVATOR, TESS, TODAY, VIC
from tests.domain.scenario import BEFORE, NOW, given

DAY = timedelta(days=1)


def read(reading: str = "4210.5", **told: Any) -> RecordMeterReading:
    return RecordMeterReading(equipment_id="ex-7", reading=reading, **{"meter": Meter.HOURS} | told)


def shown(reading: str = "4210.5", moment: datetime = NOW, **told: Any) -> MeterReadingRecorded:
    return MeterReadingRecorded(
        equipment_id="ex-7", reading=reading, **{"meter": Meter.HOURS} | told, effective_at=moment
    )


def test_a_technician_reads_a_meter() -> None:
    given(ACME, EXCAVATOR).when(read(), by=TESS).then(shown())


def test_a_reading_told_twice_is_one() -> None:
    told = read(read_at=NOW - DAY)
    given(ACME, EXCAVATOR).when(told).then(shown(moment=NOW - DAY)).when(told, at=NOW + DAY).then_nothing()
    given(ACME, EXCAVATOR, shown("4210.50")).when(read(read_at=NOW)).then_nothing()


def test_a_meter_may_have_stood_still() -> None:
    given(ACME, EXCAVATOR, shown(moment=BEFORE)).when(read()).then(shown())


def test_each_meter_of_a_machine_runs_by_itself() -> None:
    story = given(ACME, EXCAVATOR, shown("4210.5", BEFORE), shown("10", BEFORE, meter=Meter.CYCLES))
    story.when(read("11", meter=Meter.CYCLES)).then(shown("11", meter=Meter.CYCLES))
    story.when(read("11")).then_rejected("meter-ran-backwards")


def test_a_meter_shows_less_only_where_it_was_replaced() -> None:
    story = given(ACME, EXCAVATOR, shown("10", BEFORE))
    story.when(read("9.9999")).then_rejected("meter-ran-backwards")
    after = story.when(read("0", replaced=True)).then(shown("0", replaced=True))
    after.when(read("9"), at=NOW + DAY).then(shown("9", NOW + DAY))


def test_readings_are_compared_as_numbers() -> None:
    given(ACME, EXCAVATOR, shown("9", BEFORE)).when(read("10")).then(shown("10"))


def test_a_reading_is_later_than_the_last_and_not_in_the_future() -> None:
    story = given(ACME, EXCAVATOR, shown(moment=NOW - DAY))
    story.when(read("5000", read_at=NOW - 2 * DAY)).then_rejected("reading-too-old")
    story.when(read("5000", read_at=NOW - DAY)).then_rejected("reading-too-old")
    story.when(read("5000", read_at=NOW + DAY)).then_rejected("happened-in-future")


def test_only_a_machine_that_is_there_and_in_use_has_its_meters_read() -> None:
    retired = EquipmentRetired(equipment_id="ex-7", reason="worn out", retired_by="user:ada", retired_date=TODAY)
    given(ACME).when(read()).then_rejected("equipment-unknown")
    given(ACME, EXCAVATOR, retired).when(read()).then_rejected("equipment-retired")
    given(ACME, EXCAVATOR).when(read(), by=VIC).then_rejected("forbidden")


@pytest.mark.parametrize("reading", ["-1", "1e3", "NaN", "", "1,5", "1.00001", "1" * 16])
def test_a_reading_is_a_plain_number_that_is_not_negative(reading: str) -> None:
    sent = read().model_dump_json(exclude_unset=True).replace("4210.5", reading).encode()
    given(ACME, EXCAVATOR).when_sent(RecordMeterReading, sent, about="ex-7").then_rejected("invalid", "reading")
