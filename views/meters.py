"""What the meters of machines have shown."""

import operator
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field
from sqlalchemy import Boolean, Column, DateTime, Index, Numeric, Table, select
from sqlalchemy.engine import RowMapping

from domain.equipment import MeterReadingRecorded
from domain.maintenance import Meter
from domain.model import Id, Instant
from domain.record import Recorded
from views.items import Version
from views.resource import Filter, ItemModel, Resource, Sort
from views.tables import METADATA, key, revision
from views.view import Change, View
from views.writing import inserting

table = Table(
    "meter_readings",
    METADATA,
    key("company_id"),
    key("equipment_id"),
    key("meter"),
    Column("read_at", DateTime(timezone=True), primary_key=True),
    Column("reading", Numeric(19, 4), nullable=False),
    Column("replaced", Boolean, nullable=False),
    *revision(),
)

Index("meter_readings_by_time", table.c.company_id, table.c.equipment_id, table.c.read_at, table.c.meter)

meters = View("meter-readings", table)

READ = inserting(table)


@meters.on
def read(event: MeterReadingRecorded, fact: Recorded) -> Change:
    return READ(
        fact,
        equipment_id=event.equipment_id,
        meter=event.meter.value,
        read_at=event.effective_at or fact.recorded_at,
        reading=Decimal(event.reading),
        replaced=event.replaced,
    )


class MeterReadingItem(ItemModel):
    """What a meter showed at a time."""

    equipment_id: Annotated[str, Field(description="Id of the machine", examples=["EX-7"])]
    meter: Annotated[Meter, Field(description="What it counts", examples=["HOURS"])]
    read_at: Annotated[datetime, Field(description="When it was read")]
    reading: Annotated[str, Field(description="What it showed, as decimal digits", examples=["4210.5"])]
    replaced: Annotated[bool, Field(description="True: a new meter counts from this reading on")]
    updated_at: Annotated[datetime, Field(description="When it was recorded")]
    version: Version


def item(row: RowMapping) -> MeterReadingItem:
    shown = {name: row[name] for name in MeterReadingItem.model_fields if name != "reading"}
    return MeterReadingItem(**shown, reading=f"{row['reading'].normalize():f}")


METER_READINGS = Resource(
    name="meter-readings",
    path="equipment/{equipment_id}/meter-readings",
    item_path=None,
    group="fleet",
    permission="equipment.read",
    summary="Readings of a machine's meters",
    item=MeterReadingItem,
    rows=select(table),
    company=table.c.company_id,
    keys={
        "meter": Filter(table.c.meter, Id, "Kind of meter"),
        "read_at": Filter(table.c.read_at, Instant, "When it was read"),
    },
    make=item,
    within={"equipment_id": Filter(table.c.equipment_id, Id, "Id of the machine")},
    filters={
        "meter": Filter(table.c.meter, Meter, "Readings of this kind of meter"),
        "since": Filter(table.c.read_at, Instant, "Readings at or after this time", operator.ge),
        "until": Filter(table.c.read_at, Instant, "Readings before this time", operator.lt),
    },
    sorts={"read_at": Sort(table.c.read_at, Instant, "by the time of the reading")},
    default_sort="-read_at",
)
