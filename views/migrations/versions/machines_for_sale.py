"""Since when a machine is held for sale."""

from collections.abc import Sequence

from alembic import op

revision: str = "machines_for_sale"
down_revision: str | Sequence[str] | None = "dead_letters"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE erp.equipment ADD COLUMN for_sale_since date")
