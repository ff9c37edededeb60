"""What all view tables share: one schema, the company first in every key, and the checkpoint of each view group."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text

SCHEMA = "erp"

#: Every table of this build; migrations must lead to exactly this.
METADATA = MetaData(
    schema=SCHEMA,
    naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s", "pk": "%(table_name)s_pkey"},
)


def key(name: str) -> Column[str]:
    """A part of a table's primary key: ids are text and compare byte by byte, so that cursors are stable."""
    return Column(name, Text(collation="C"), primary_key=True)


def id_of(name: str, *, optional: bool = False) -> Column[str]:
    """An id that refers to another row."""
    return Column(name, Text(collation="C"), nullable=optional)


def moment(name: str, *, optional: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=optional)


def revision() -> tuple[Column[Any], Column[Any]]:
    """The version of the aggregate that a row shows, and when that version was recorded."""
    return Column("version", BigInteger, nullable=False), moment("updated_at")


def is_secret(table: Table) -> bool:
    """Whether values of the table are shown to nobody, not even where it differs from what it should be."""
    return bool(table.info.get("secret"))


#: How far each view group has come in each partition; the row changes in the same transaction as the views do.
CHECKPOINT = Table(
    "view_checkpoint",
    METADATA,
    Column("view_group", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
)
