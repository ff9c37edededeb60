"""How many machines each company has of each category, at each place, in each status.

No projection counts: PostgreSQL does, with each row of the machines that really appears, changes or goes, in the same
transaction. So a replay, which changes no row, counts nothing twice. A rebuild counts once, at its end: see
`views.deferred`.
"""

from sqlalchemy import DDL, BigInteger, Column, Index, Table, Text, event, func, select

from views.equipment import table as machines
from views.tables import METADATA, key
from views.view import View

#: The place of machines that stand at none that is known: part of a key, so not null.
NOWHERE = ""

_group = (machines.c.company_id, func.coalesce(machines.c.place, NOWHERE), machines.c.category_id, machines.c.status)

table = Table(
    "machine_counts",
    METADATA,
    key("company_id"),
    key("place"),
    key("category_id"),
    Column("status", Text, primary_key=True),
    Column("machines", BigInteger, nullable=False),
    info={"counts": select(*_group, func.count()).group_by(*_group)},
)
Index("machine_counts_by_category", table.c.company_id, table.c.category_id)

#: The function, which migrations make, counts beside the table whose row changes: a rebuild's copy has its own counts.
TRIGGERS = (
    "CREATE TRIGGER machine_comes_or_goes AFTER INSERT OR DELETE ON %(fullname)s"
    " FOR EACH ROW EXECUTE FUNCTION erp.count_machines()",
    "CREATE TRIGGER machine_changes AFTER UPDATE ON %(fullname)s FOR EACH ROW"
    " WHEN ((OLD.place, OLD.category_id, OLD.status) IS DISTINCT FROM (NEW.place, NEW.category_id, NEW.status))"
    " EXECUTE FUNCTION erp.count_machines()",
)

for statement in TRIGGERS:
    event.listen(machines, "after_create", DDL(statement), propagate=True)  # type: ignore[no-untyped-call]

machine_counts = View("machine_counts", table)
