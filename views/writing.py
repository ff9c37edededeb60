"""Statements of projections: made once per module, called with a recorded event to give a change.

Every row carries the version of its aggregate, and an update only touches a row that is older than its event: so the
same event again, early or late, changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, Table, bindparam, update
from sqlalchemy.dialects.postgresql import insert

from domain.record import Recorded
from views.view import Change


@dataclass(frozen=True)
class Write:
    """A statement that waits for values; a value that is not given is null."""

    statement: Executable
    names: Mapping[str, str]
    blank: Mapping[str, Any]

    def __call__(self, fact: Recorded, **values: Any) -> Change:
        """`company_id`, `version` and `updated_at` come from the fact."""
        given = {"company_id": fact.company_id, "version": fact.version, "updated_at": fact.recorded_at, **values}
        return Change(
            self.statement, {bind: given.get(name, self.blank.get(name)) for bind, name in self.names.items()}
        )


def inserting(table: Table, **blank: Any) -> Write:
    """A new row, unless it is there; `blank` are values of columns that the caller leaves out."""
    names = {column.name: column.name for column in table.columns if column.computed is None}
    return Write(insert(table).on_conflict_do_nothing(), names, blank)


def replacing(table: Table, *columns: str, **blank: Any) -> Write:
    """A new row, or these columns of the row that is there if that is older."""
    new = inserting(table, **blank)
    statement = insert(table)
    taken = {name: statement.excluded[name] for name in (*columns, "version", "updated_at")}
    older = table.c.version < statement.excluded.version
    kept = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=taken, where=older)
    return Write(kept, new.names, blank)


def updating(table: Table, *columns: str, **computed: ColumnElement[Any]) -> Write:
    """These columns of a row that is older than the event; `computed` are set by expressions over tables."""
    keys = [column.name for column in table.primary_key]
    same = [table.c[name] == bindparam(f"_{name}", type_=table.c[name].type) for name in keys]
    older = table.c.version < bindparam("_version", type_=table.c.version.type)
    names = {name: name for name in (*columns, "version", "updated_at")} | {
        f"_{name}": name for name in (*keys, "version")
    }
    return Write(update(table).where(*same, older).values(**computed), names, {})
