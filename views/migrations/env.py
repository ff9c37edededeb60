"""Alembic's way in. The connection comes from `views.migrate`, which holds a lock so that two starters are safe."""

from alembic import context
from sqlalchemy import Connection, text

import views  # noqa: F401  (declares every table)
from views.tables import METADATA, SCHEMA


def run(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table_schema=SCHEMA,
        include_schemas=True,
        compare_type=True,
        compare_server_default=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
