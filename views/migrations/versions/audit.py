"""Who did what, when, from where and under which key."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "audit"
down_revision: str | Sequence[str] | None = "work_expected_and_proceeds"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AUDIT = """
CREATE TABLE erp.audit (
    company_id text COLLATE "C",
    recorded_at timestamptz,
    sequence bigint,
    realm text COLLATE "C",
    partition integer NOT NULL,
    command_id uuid NOT NULL,
    type text NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    aggregate_id text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    status text NOT NULL,
    code text,
    repeat boolean NOT NULL,
    conflict boolean NOT NULL,
    first bigint,
    last bigint,
    fingerprint text NOT NULL,
    key_id text COLLATE "C",
    process_id text COLLATE "C",
    address text,
    user_agent text,
    correlation_id text NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (company_id, recorded_at, sequence, realm)
)
"""


def upgrade() -> None:
    op.execute(AUDIT)
    op.execute("CREATE INDEX audit_by_actor ON erp.audit (company_id, actor, recorded_at)")
    op.execute("CREATE INDEX audit_by_subject ON erp.audit (company_id, aggregate, aggregate_id, recorded_at)")
    for statement in protections("erp", "audit"):
        op.execute(statement)
