"""Roles, checkpoints and the first views with their row-level security and search."""

from collections.abc import Sequence

from alembic import op

from views.protection import NAMED_COMPANY, READER, SEARCHER, WRITER, protections

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Roles belong to the whole server: another database's migration may make them at the same moment.
ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN NOBYPASSRLS;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT {role} TO %I', current_user);
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""

CHECKPOINT = """
CREATE TABLE erp.view_checkpoint (
    view_group text,
    partition integer,
    position bigint NOT NULL,
    next_offset bigint NOT NULL,
    CONSTRAINT view_checkpoint_pkey PRIMARY KEY (view_group, partition)
)
"""

COMPANIES = """
CREATE TABLE erp.companies (
    company_id text COLLATE "C",
    name text NOT NULL,
    time_zone text NOT NULL,
    currency text NOT NULL,
    tax_country text,
    tax_number text,
    policy jsonb NOT NULL,
    suspended_at timestamptz,
    suspension_reason text,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT companies_pkey PRIMARY KEY (company_id)
)
"""

USERS = """
CREATE TABLE erp.users (
    company_id text COLLATE "C",
    user_id text COLLATE "C",
    name text NOT NULL,
    email text COLLATE "C" NOT NULL,
    roles text[] NOT NULL,
    active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (company_id, user_id)
)
"""

CATEGORIES = """
CREATE TABLE erp.categories (
    company_id text COLLATE "C",
    category_id text COLLATE "C",
    name text NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT categories_pkey PRIMARY KEY (company_id, category_id)
)
"""

JOBS = """
CREATE TABLE erp.maintenance_jobs (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    job_id text COLLATE "C",
    maintenance_type text NOT NULL,
    state text NOT NULL,
    scheduled_on date,
    technician_id text COLLATE "C",
    notes text,
    started_at timestamptz,
    performed_at timestamptz,
    completed_on date,
    completed_by text COLLATE "C",
    labour_minutes integer,
    cost numeric(19, 4),
    cost_currency text,
    completion_notes text,
    cancelled_at timestamptz,
    cancellation_reason text,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT maintenance_jobs_pkey PRIMARY KEY (company_id, equipment_id, job_id)
)
"""

EQUIPMENT = """
CREATE TABLE erp.equipment (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    name text NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    category_id text COLLATE "C" NOT NULL,
    manufacturer text,
    model text,
    manufacturer_serial text,
    purchased_on date,
    in_service_on date NOT NULL,
    purchase_price numeric(19, 4),
    purchase_currency text,
    assignee_kind text,
    assignee_id text COLLATE "C",
    assigned_at timestamptz,
    expected_return_on date,
    next_due_on date,
    in_maintenance boolean NOT NULL,
    last_maintained_on date,
    retired_on date,
    retired_by text,
    retirement_reason text,
    status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN retired_on IS NOT NULL THEN 'RETIRED'
            WHEN in_maintenance THEN 'IN_MAINTENANCE'
            WHEN next_due_on IS NOT NULL THEN 'MAINTENANCE_SCHEDULED'
            ELSE 'ACTIVE'
        END
    ) STORED,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT equipment_pkey PRIMARY KEY (company_id, equipment_id)
)
"""

HISTORY = """
CREATE TABLE erp.history (
    company_id text COLLATE "C",
    aggregate text COLLATE "C",
    aggregate_id text COLLATE "C",
    position bigint,
    event_id uuid NOT NULL,
    event text NOT NULL,
    version bigint NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    command_id uuid NOT NULL,
    correlation_id text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT history_pkey PRIMARY KEY (company_id, aggregate, aggregate_id, position)
)
"""

OUTCOMES = """
CREATE TABLE erp.outcomes (
    company_id text COLLATE "C",
    command_id uuid,
    type text NOT NULL,
    aggregate text NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    status text NOT NULL,
    code text,
    kind text,
    detail text,
    errors jsonb NOT NULL,
    version bigint,
    first bigint,
    last bigint,
    partition integer NOT NULL,
    position bigint NOT NULL,
    fingerprint text NOT NULL,
    "offset" bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT outcomes_pkey PRIMARY KEY (company_id, command_id)
)
"""

VIEWS = ("companies", "users", "categories", "maintenance_jobs", "equipment", "history", "outcomes")

DAY = "coalesce(scheduled_on, completed_on)"

INDEXES = (
    "users_by_name ON erp.users (company_id, name, user_id)",
    "categories_by_name ON erp.categories (company_id, name, category_id)",
    f"maintenance_jobs_by_day ON erp.maintenance_jobs (company_id, ({DAY}), equipment_id, job_id)",
    f"maintenance_jobs_by_state ON erp.maintenance_jobs (company_id, state, ({DAY}), equipment_id, job_id)",
    "maintenance_jobs_by_technician"
    f" ON erp.maintenance_jobs (company_id, technician_id, ({DAY}), equipment_id, job_id)",
    "maintenance_jobs_by_updated ON erp.maintenance_jobs (company_id, updated_at, equipment_id, job_id)",
    "equipment_by_name ON erp.equipment (company_id, name, equipment_id)",
    "equipment_by_serial ON erp.equipment (company_id, serial_number, equipment_id)",
    "equipment_by_service ON erp.equipment (company_id, in_service_on, equipment_id)",
    "equipment_by_due ON erp.equipment (company_id, (coalesce(next_due_on, 'infinity'::date)), equipment_id)",
    "equipment_by_updated ON erp.equipment (company_id, updated_at, equipment_id)",
    "equipment_by_status ON erp.equipment (company_id, status, name, equipment_id)",
    "equipment_by_category ON erp.equipment (company_id, category_id, name, equipment_id)",
    "equipment_by_assignee ON erp.equipment (company_id, assignee_id, equipment_id) WHERE assignee_id IS NOT NULL",
    "equipment_like_name ON erp.equipment USING gin (name gin_trgm_ops)",
    "equipment_like_serial_number ON erp.equipment USING gin (serial_number gin_trgm_ops)",
    "outcomes_by_actor ON erp.outcomes (company_id, actor, recorded_at, command_id)",
    "outcomes_by_age ON erp.outcomes (recorded_at)",
)

# ILIKE is not leakproof, so row-level security keeps plain queries from the trigram indexes. This function's owner sees
# all rows, and the function names the company itself.
SEARCH = f"""
CREATE FUNCTION erp.find_equipment(pattern text, most integer) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE
        'SELECT equipment_id FROM erp.equipment'
        ' WHERE company_id = $1 AND (name ILIKE $2 OR serial_number ILIKE $2) LIMIT $3'
        USING {NAMED_COMPANY}, pattern, most;
END $$
"""  # noqa: S608


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for role in (READER, WRITER, SEARCHER):
        op.execute(ROLE.format(role=role))
        op.execute(f"GRANT USAGE ON SCHEMA erp TO {role}")
    for table in (CHECKPOINT, COMPANIES, USERS, CATEGORIES, JOBS, EQUIPMENT, HISTORY, OUTCOMES):
        op.execute(table)
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for view in VIEWS:
        for statement in protections("erp", view, searched=view == "equipment"):
            op.execute(statement)
    op.execute(f"GRANT SELECT ON erp.view_checkpoint TO {READER}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON erp.view_checkpoint TO {WRITER}")
    _search()


def _search() -> None:
    op.execute(SEARCH)
    op.execute("REVOKE ALL ON FUNCTION erp.find_equipment(text, integer) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION erp.find_equipment(text, integer) TO {READER}")
    op.execute(f"GRANT CREATE ON SCHEMA erp TO {SEARCHER}")
    op.execute(f"ALTER FUNCTION erp.find_equipment(text, integer) OWNER TO {SEARCHER}")
    op.execute(f"REVOKE CREATE ON SCHEMA erp FROM {SEARCHER}")
