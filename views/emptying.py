"""All views emptied, to be folded again from other topics than before."""

from sqlalchemy import text

from views.digest import named
from views.reading import engine
from views.tables import METADATA


async def empty(dsn: str) -> None:
    """Take all rows and checkpoints out of the views, in one transaction."""
    pool = engine(dsn, statement_seconds=0)
    try:
        async with pool.begin() as connection:
            tables = ", ".join(named(table) for table in METADATA.sorted_tables)
            await connection.execute(text(f"TRUNCATE {tables}"))
    finally:
        await pool.dispose()
