"""Books of machines, their entries, and what policies and categories say of depreciation."""

from collections.abc import Sequence

from alembic import op

from views.protection import protections

revision: str = "books"
down_revision: str | Sequence[str] | None = "breakdowns_and_roles"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BOOKS = """
CREATE TABLE erp.books (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    book text COLLATE "C",
    method text NOT NULL,
    currency text NOT NULL,
    terms jsonb NOT NULL,
    value numeric(19, 4) NOT NULL,
    base numeric(19, 4) NOT NULL,
    opening numeric(24, 4) NOT NULL,
    accumulated numeric(24, 4) NOT NULL,
    used numeric(24, 4) NOT NULL,
    used_since numeric(24, 4) NOT NULL,
    posted text COLLATE "C",
    since text COLLATE "C",
    disposed_on date,
    disposal_value numeric(19, 4),
    proceeds numeric(19, 4),
    gain numeric(19, 4),
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT books_pkey PRIMARY KEY (company_id, equipment_id, book)
)
"""

BOOK_ENTRIES = """
CREATE TABLE erp.book_entries (
    company_id text COLLATE "C",
    equipment_id text COLLATE "C",
    book text COLLATE "C",
    entry text COLLATE "C",
    kind text NOT NULL,
    period text COLLATE "C",
    entered_on date NOT NULL,
    holds_until date,
    currency text NOT NULL,
    amount numeric(19, 4) NOT NULL,
    value numeric(19, 4) NOT NULL,
    units numeric(24, 4),
    gain numeric(19, 4),
    reason text,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT book_entries_pkey PRIMARY KEY (company_id, equipment_id, book, entry)
)
"""

KEY = "equipment_id, book, entry"

INDEXES = (
    "books_by_value ON erp.books (company_id, value, equipment_id, book)",
    "books_by_updated ON erp.books (company_id, updated_at, equipment_id, book)",
    f"book_entries_by_day ON erp.book_entries (company_id, entered_on, {KEY})",
    f"book_entries_by_period ON erp.book_entries (company_id, period, {KEY})",
)

ADDED = (
    "companies ADD COLUMN books jsonb",
    "categories ADD COLUMN life_months integer",
    "categories ADD COLUMN salvage_percent text",
)


def upgrade() -> None:
    for table in (BOOKS, BOOK_ENTRIES):
        op.execute(table)
    for change in ADDED:
        op.execute(f"ALTER TABLE erp.{change}")
    for index in INDEXES:
        op.execute(f"CREATE INDEX {index}")
    for view in ("books", "book_entries"):
        for statement in protections("erp", view):
            op.execute(statement)
