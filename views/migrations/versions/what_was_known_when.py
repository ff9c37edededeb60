"""What was known and true of each machine, and when; events by their command. The group is folded anew."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "what_was_known_when"
down_revision: str | Sequence[str] | None = "books"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PAST = """
CREATE TABLE erp.equipment_past (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    fact text COLLATE "C",
    about text COLLATE "C",
    position bigint,
    effective_from timestamptz,
    effective_to timestamptz NOT NULL,
    recorded_from timestamptz NOT NULL,
    recorded_to timestamptz NOT NULL,
    value jsonb,
    name text GENERATED ALWAYS AS (CASE WHEN fact = 'name' THEN value #>> '{}' END) STORED,
    CONSTRAINT equipment_past_pkey PRIMARY KEY (company_id, equipment_id, fact, about, position, effective_from)
)
"""
BY_NAME = "equipment_past_by_name ON erp.equipment_past (company_id, name, equipment_id) WHERE fact = 'name'"


def upgrade() -> None:
    op.execute(PAST)
    op.execute(f"CREATE INDEX {BY_NAME}")
    op.execute("CREATE INDEX history_by_command ON erp.history (company_id, command_id)")
    for statement in protections("erp", "equipment_past"):
        op.execute(statement)
    op.execute("TRUNCATE erp.history")
    op.execute("DELETE FROM erp.view_checkpoint WHERE view_group = 'history'")
