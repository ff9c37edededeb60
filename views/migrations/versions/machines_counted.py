"""Machines counted by place, category and status, by triggers on the machines' own rows."""

from collections.abc import Sequence

from alembic import op

from views.protection import WRITER, protections

revision: str = "machines_counted"
down_revision: str | Sequence[str] | None = "recurring_plans"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COUNTS = """
CREATE TABLE erp.machine_counts (
    company_id text COLLATE "C",
    place text COLLATE "C",
    category_id text COLLATE "C",
    status text,
    machines bigint NOT NULL,
    CONSTRAINT machine_counts_pkey PRIMARY KEY (company_id, place, category_id, status)
)
"""

#: The counts lie beside the table whose row changes, so that a rebuild's copy has its own. They are found by the search
#: path, since PostgreSQL keeps the plans of such statements and would make one for each that is put together.
FUNCTION = """
CREATE FUNCTION erp.count_machines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    path text := current_setting('search_path');
    remaining bigint;
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), true);
    IF TG_OP <> 'INSERT' THEN
        UPDATE machine_counts AS known SET machines = known.machines - 1
        WHERE known.company_id = OLD.company_id AND known.place = coalesce(OLD.place, '')
            AND known.category_id = OLD.category_id AND known.status = OLD.status
        RETURNING known.machines INTO remaining;
        IF remaining = 0 THEN
            DELETE FROM machine_counts AS known
            WHERE known.company_id = OLD.company_id AND known.place = coalesce(OLD.place, '')
                AND known.category_id = OLD.category_id AND known.status = OLD.status;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO machine_counts AS known
        VALUES (NEW.company_id, coalesce(NEW.place, ''), NEW.category_id, NEW.status, 1)
        ON CONFLICT (company_id, place, category_id, status) DO UPDATE SET machines = known.machines + 1;
    END IF;
    PERFORM set_config('search_path', path, true);
    RETURN NULL;
END $$
"""

TRIGGERS = (
    "CREATE TRIGGER machine_comes_or_goes AFTER INSERT OR DELETE ON erp.equipment"
    " FOR EACH ROW EXECUTE FUNCTION erp.count_machines()",
    "CREATE TRIGGER machine_changes AFTER UPDATE ON erp.equipment FOR EACH ROW"
    " WHEN ((OLD.place, OLD.category_id, OLD.status) IS DISTINCT FROM (NEW.place, NEW.category_id, NEW.status))"
    " EXECUTE FUNCTION erp.count_machines()",
)

KNOWN = """
INSERT INTO erp.machine_counts
SELECT company_id, coalesce(place, ''), category_id, status, count(*) FROM erp.equipment GROUP BY 1, 2, 3, 4
"""

INDEXES = (
    "machine_counts_by_category ON erp.machine_counts (company_id, category_id)",
    "maintenance_jobs_unfinished ON erp.maintenance_jobs (company_id, scheduled_on) WHERE state IN ('OPEN', 'STARTED')",
)


def upgrade() -> None:
    op.execute("LOCK TABLE erp.equipment IN SHARE ROW EXCLUSIVE MODE")
    op.execute(COUNTS)
    for statement in (FUNCTION, *TRIGGERS, *(f"CREATE INDEX {index}" for index in INDEXES)):
        op.execute(statement)
    for statement in protections("erp", "machine_counts"):
        op.execute(statement)
    op.execute(f"SET LOCAL ROLE {WRITER}")  # row-level security shows an owner no machines
    op.execute(KNOWN)
    op.execute("RESET ROLE")
