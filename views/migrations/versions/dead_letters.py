"""Dead letters, and which of them need no other attempt."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "dead_letters"
down_revision: str | Sequence[str] | None = "audit"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LETTERS = """
CREATE TABLE erp.dead_letters (
    company_id text COLLATE "C",
    letter_id text COLLATE "C",
    reason text NOT NULL,
    detail text NOT NULL,
    type text,
    command_id uuid,
    actor text,
    retries uuid[] NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (company_id, letter_id)
)
"""
BY_AGE = "CREATE INDEX dead_letters_by_age ON erp.dead_letters (company_id, recorded_at, letter_id)"
DISCARDS = """
CREATE TABLE erp.discarded_letters (
    company_id text COLLATE "C",
    letter_id text COLLATE "C",
    discard_reason text,
    discarded_by text,
    discarded_at timestamptz,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT discarded_letters_pkey PRIMARY KEY (company_id, letter_id)
)
"""


def upgrade() -> None:
    for statement in (LETTERS, BY_AGE, DISCARDS):
        op.execute(statement)
    for table in ("dead_letters", "discarded_letters"):
        for statement in protections("erp", table):
            op.execute(statement)
