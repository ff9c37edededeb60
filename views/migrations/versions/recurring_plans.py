"""Plans of recurring maintenance."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "recurring_plans"
down_revision: str | Sequence[str] | None = "parts_on_stock"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PLANS = """
CREATE TABLE erp.plans (
    company_id text COLLATE "C",
    plan_id text COLLATE "C",
    name text NOT NULL,
    equipment_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    anchor text NOT NULL,
    maintenance_type text NOT NULL,
    lead_days integer NOT NULL,
    terms jsonb NOT NULL,
    next_due_on date,
    job_from date GENERATED ALWAYS AS (next_due_on - lead_days) STORED,
    last_due_on date,
    last_job_id text COLLATE "C",
    last_missed_on date,
    reason text,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT plans_pkey PRIMARY KEY (company_id, plan_id)
)
"""

INDEXES = (
    "plans_by_name ON erp.plans (company_id, name, plan_id)",
    "plans_by_next_due ON erp.plans (company_id, (coalesce(next_due_on, 'infinity'::date)), plan_id)",
    "plans_by_updated ON erp.plans (company_id, updated_at, plan_id)",
    "plans_of_machine ON erp.plans (company_id, equipment_id, plan_id)",
    "plans_to_settle ON erp.plans (job_from) WHERE state = 'ACTIVE'",
)


def upgrade() -> None:
    op.execute(PLANS)
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for statement in protections("erp", "plans"):
        op.execute(statement)
