"""Assets of other systems as they were last imported, with the machines that stand for them."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import Column, Index, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import RowMapping

from domain.asset import AssetImported, AssetImportUndone, AssetRecord, AssetState, Source
from domain.model import Id, Instant
from domain.record import Recorded
from views.items import Version
from views.resource import Filter, ItemModel, LineOfText, Resource, Sort
from views.tables import METADATA, id_of, key, moment, revision
from views.view import Change, View
from views.writing import deleting, replacing, updating

table = Table(
    "assets",
    METADATA,
    key("company_id"),
    key("asset_id"),
    Column("source", Text(collation="C"), nullable=False),
    Column("number", Text(collation="C"), nullable=False),
    Column("serial_number", Text(collation="C"), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("record", JSONB, nullable=False),
    id_of("brought_by"),
    id_of("import_id", optional=True),
    moment("imported_at"),
    *revision(),
)
Index("assets_by_import", table.c.company_id, table.c.import_id, table.c.asset_id)
Index("assets_by_time", table.c.company_id, table.c.imported_at, table.c.asset_id)

assets = View("assets", table)

IMPORTED = replacing(table, "name", "state", "record", "import_id", "imported_at")
TAKEN_BACK = deleting(table, "asset_id")
AS_BEFORE = updating(table, "name", "state", "record", "import_id")


@assets.on
def imported(event: AssetImported, fact: Recorded) -> Change:
    return IMPORTED(
        fact,
        asset_id=event.asset_id,
        source=event.source,
        number=event.number,
        serial_number=event.serial_number,
        **_as_recorded(event.record),
        brought_by=event.import_id,
        import_id=event.import_id,
        imported_at=fact.recorded_at,
    )


@assets.on
def undone(event: AssetImportUndone, fact: Recorded) -> Change:
    """What the import brought is gone; what it only changed stays."""
    if event.record is None:
        return TAKEN_BACK(fact, asset_id=event.asset_id)
    return AS_BEFORE(fact, asset_id=event.asset_id, **_as_recorded(event.record))


def _as_recorded(record: AssetRecord) -> dict[str, str]:
    return {"name": record.name, "state": record.state.value, "record": record.model_dump_json(exclude_none=True)}


class AssetItem(ItemModel):
    """An asset of another system."""

    asset_id: Annotated[str, Field(description="Its id here, and that of its machine", examples=["legacy-erp.4711"])]
    source: Annotated[str, Field(description="The other system", examples=["legacy-erp"])]
    number: Annotated[str, Field(description="Its id there", examples=["4711"])]
    serial_number: Annotated[str, Field(description="The serial number it has here", examples=["EQ-2019-EX-004711"])]
    name: Annotated[str, Field(description="Its name there when it was last imported", examples=["Wheel loader 950"])]
    state: Annotated[AssetState, Field(description="Its state there when it was last imported", examples=["ACTIVE"])]
    brought_by: Annotated[str, Field(description="The import that brought it")]
    import_id: Annotated[str | None, Field(description="The import that changed it last, unless it was undone")] = None
    imported_at: Annotated[datetime, Field(description="When it was last imported")]
    updated_at: Annotated[datetime, Field(description="When this version was recorded")]
    version: Version


def item(row: RowMapping) -> AssetItem:
    return AssetItem(**{name: row[name] for name in AssetItem.model_fields})


ASSETS = Resource(
    name="assets",
    path="assets",
    item_path="assets/{asset_id}",
    group="fleet",
    permission="asset.read",
    summary="Assets of other systems that were imported",
    item=AssetItem,
    rows=select(table),
    company=table.c.company_id,
    keys={"asset_id": Filter(table.c.asset_id, Id, "Id of the asset")},
    make=item,
    filters={
        "import_id": Filter(table.c.import_id, Id, "Assets that this import changed last"),
        "source": Filter(table.c.source, Source, "Assets of this system"),
        "state": Filter(table.c.state, AssetState, "Assets in this state"),
    },
    sorts={
        "asset_id": Sort(table.c.asset_id, LineOfText, "by id"),
        "imported_at": Sort(table.c.imported_at, Instant, "by the time of the last import"),
    },
    default_sort="asset_id",
)
