"""Under which name another provider of identities knows a user."""

from collections.abc import Sequence

from alembic import op

revision: str = "identities_of_others"
down_revision: str | Sequence[str] | None = "credentials"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE erp.users ADD identity_issuer text, ADD identity_subject text")


def downgrade() -> None:
    op.execute("ALTER TABLE erp.users DROP identity_issuer, DROP identity_subject")
