"""Keys of a company's own systems."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "keys_of_systems"
down_revision: str | Sequence[str] | None = "identities_of_others"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEYS = """
CREATE TABLE erp.keys (
    company_id text COLLATE "C",
    key_id text COLLATE "C",
    name text NOT NULL,
    public_key text COLLATE "C" NOT NULL,
    permissions text[] NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    revocation_reason text,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT keys_pkey PRIMARY KEY (company_id, key_id)
)
"""


def upgrade() -> None:
    op.execute(KEYS)
    for statement in protections("erp", "keys"):
        op.execute(statement)
