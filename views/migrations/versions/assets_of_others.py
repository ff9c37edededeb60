"""Assets of other systems as they were last imported."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "assets_of_others"
down_revision: str | Sequence[str] | None = "machines_counted"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ASSETS = """
CREATE TABLE erp.assets (
    company_id text COLLATE "C",
    asset_id text COLLATE "C",
    source text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    record jsonb NOT NULL,
    brought_by text COLLATE "C" NOT NULL,
    import_id text COLLATE "C",
    imported_at timestamptz NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT assets_pkey PRIMARY KEY (company_id, asset_id)
)
"""

INDEXES = (
    "assets_by_import ON erp.assets (company_id, import_id, asset_id)",
    "assets_by_time ON erp.assets (company_id, imported_at, asset_id)",
)


def upgrade() -> None:
    op.execute(ASSETS)
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for statement in protections("erp", "assets"):
        op.execute(statement)
