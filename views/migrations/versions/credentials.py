"""What sign-in compares with, and the one role that reads it."""

from collections.abc import Sequence

from alembic import op

from views.protection import SIGN_IN, protections

revision: str = "credentials"
down_revision: str | Sequence[str] | None = "assets_of_others"
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

CREDENTIALS = """
CREATE TABLE erp.credentials (
    company_id text COLLATE "C",
    user_id text COLLATE "C",
    one_time_digest text,
    password_hash text,
    password_version integer NOT NULL,
    enrolment_id text,
    totp_secret text,
    totp_confirmed boolean NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT credentials_pkey PRIMARY KEY (company_id, user_id)
)
"""


def upgrade() -> None:
    op.execute(ROLE.format(role=SIGN_IN))
    op.execute(f"GRANT USAGE ON SCHEMA erp TO {SIGN_IN}")
    op.execute("CREATE INDEX users_by_email ON erp.users (company_id, lower(email))")
    op.execute(CREDENTIALS)
    for statement in protections("erp", "credentials", reader=SIGN_IN):
        op.execute(statement)
