"""What work is expected to take, how often it recurs, and what a machine brought at its end."""

from collections.abc import Sequence

from alembic import op

revision: str = "work_expected_and_proceeds"
down_revision: str | Sequence[str] | None = "keys_of_systems"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE erp.maintenance_jobs ADD COLUMN expected_minutes integer, ADD COLUMN interval_days integer")
    op.execute("ALTER TABLE erp.equipment ADD COLUMN proceeds numeric(19,4), ADD COLUMN proceeds_currency text")
