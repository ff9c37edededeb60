"""Parts and their stock ledger."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "parts_on_stock"
down_revision: str | Sequence[str] | None = "what_was_known_when"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PARTS = """
CREATE TABLE erp.parts (
    company_id text COLLATE "C",
    part_id text COLLATE "C",
    name text NOT NULL,
    unit text NOT NULL,
    minimum numeric(13, 4) NOT NULL,
    reorder_quantity numeric(13, 4) NOT NULL,
    currency text NOT NULL,
    balance numeric(13, 4) NOT NULL,
    reserved numeric(13, 4) NOT NULL,
    average_cost numeric(15, 6) NOT NULL,
    fell_below_at timestamptz,
    value numeric(25, 6) NOT NULL GENERATED ALWAYS AS (balance * average_cost) STORED,
    below_minimum boolean NOT NULL GENERATED ALWAYS AS (balance < minimum) STORED,
    to_order numeric GENERATED ALWAYS AS (
        CASE
            WHEN balance - reserved < minimum
            THEN reorder_quantity * ceil((minimum - balance + reserved) / reorder_quantity)
        END
    ) STORED,
    reorder boolean NOT NULL GENERATED ALWAYS AS (balance - reserved < minimum) STORED,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT parts_pkey PRIMARY KEY (company_id, part_id)
)
"""

STOCK_MOVEMENTS = """
CREATE TABLE erp.stock_movements (
    company_id text COLLATE "C",
    part_id text COLLATE "C",
    version bigint,
    movement_id text COLLATE "C" NOT NULL,
    movement text NOT NULL,
    quantity numeric(13, 4) NOT NULL,
    unit_cost numeric(15, 6) NOT NULL,
    currency text NOT NULL,
    value numeric(25, 6) NOT NULL GENERATED ALWAYS AS (quantity * unit_cost) STORED,
    balance numeric(13, 4) NOT NULL,
    average_cost numeric(15, 6) NOT NULL,
    equipment_id text COLLATE "C",
    job_id text COLLATE "C",
    issue_id text COLLATE "C",
    reason text,
    actor text NOT NULL,
    moved_at timestamptz NOT NULL,
    CONSTRAINT stock_movements_pkey PRIMARY KEY (company_id, part_id, version)
)
"""

INDEXES = (
    "parts_by_name ON erp.parts (company_id, name, part_id)",
    "parts_by_value ON erp.parts (company_id, value, part_id)",
    "parts_by_updated_at ON erp.parts (company_id, updated_at, part_id)",
    "parts_to_reorder ON erp.parts (company_id, name, part_id) WHERE reorder",
    "stock_movements_by_time ON erp.stock_movements (company_id, moved_at, part_id, version)",
    "stock_movements_by_job ON erp.stock_movements (company_id, equipment_id, job_id, moved_at, part_id, version)"
    " WHERE job_id IS NOT NULL",
)


def upgrade() -> None:
    for table in (PARTS, STOCK_MOVEMENTS):
        op.execute(table)
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for view in ("parts", "stock_movements"):
        for statement in protections("erp", view):
            op.execute(statement)
