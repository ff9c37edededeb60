"""Breakdowns, meter readings, roles of a company's own, and what more is known of companies, people and machines."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "breakdowns_and_roles"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DOWNTIME = """
CREATE TABLE erp.downtime (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    breakdown_id text COLLATE "C",
    state text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    description text,
    repaired_by text COLLATE "C",
    labour_minutes integer,
    cost numeric(19, 4),
    cost_currency text,
    cause text,
    notes text,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT downtime_pkey PRIMARY KEY (company_id, equipment_id, breakdown_id)
)
"""

METER_READINGS = """
CREATE TABLE erp.meter_readings (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    meter text COLLATE "C",
    read_at timestamptz,
    reading numeric(19, 4) NOT NULL,
    replaced boolean NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT meter_readings_pkey PRIMARY KEY (company_id, equipment_id, meter, read_at)
)
"""

ROLES = """
CREATE TABLE erp.roles (
    company_id text COLLATE "C",
    role text COLLATE "C",
    permissions text[] NOT NULL,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT roles_pkey PRIMARY KEY (company_id, role)
)
"""

NEW_COLUMNS = (
    "companies ADD serial_mask text NOT NULL DEFAULT 'EQ-9999-AA-999999'",
    "companies ADD allow_negative_stock boolean NOT NULL DEFAULT false",
    "companies ALTER serial_mask DROP DEFAULT",
    "companies ALTER allow_negative_stock DROP DEFAULT",
    "users ADD deactivated_at timestamptz, ADD deactivation_reason text",
    "categories ADD maintenance_interval_days integer, ADD archived_at timestamptz",
    'equipment ADD place text COLLATE "C", ADD broken_down_since timestamptz',
)

# An expression of a generated column cannot be changed before PostgreSQL 17; the column's index goes with it.
STATUS = """
ALTER TABLE erp.equipment DROP status, ADD status text NOT NULL GENERATED ALWAYS AS (
    CASE
        WHEN retired_on IS NOT NULL THEN 'RETIRED'
        WHEN in_maintenance OR broken_down_since IS NOT NULL THEN 'IN_MAINTENANCE'
        WHEN next_due_on IS NOT NULL THEN 'MAINTENANCE_SCHEDULED'
        ELSE 'ACTIVE'
    END
) STORED
"""

INDEXES = (
    "downtime_by_start ON erp.downtime (company_id, started_at, equipment_id, breakdown_id)",
    "downtime_by_state ON erp.downtime (company_id, state, started_at, equipment_id, breakdown_id)",
    "downtime_by_machine ON erp.downtime (company_id, equipment_id, started_at, breakdown_id)",
    "meter_readings_by_time ON erp.meter_readings (company_id, equipment_id, read_at, meter)",
    "equipment_by_status ON erp.equipment (company_id, status, name, equipment_id)",
    "equipment_by_place ON erp.equipment (company_id, place, name, equipment_id) WHERE place IS NOT NULL",
)


def upgrade() -> None:
    for table in (DOWNTIME, METER_READINGS, ROLES):
        op.execute(table)
    for change in NEW_COLUMNS:
        op.execute(f"ALTER TABLE erp.{change}")
    op.execute(STATUS)
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for view in ("downtime", "meter_readings", "roles"):
        for statement in protections("erp", view):
            op.execute(statement)
