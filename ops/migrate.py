"""`bitcorp migrate`: the database's schema, roles and rights as this build needs them."""

import asyncio

from ops.console import progress, say
from ops.database import told
from ops.stack import resolve
from topics.settings import Settings


def migrate() -> None:
    """Bring the database's schema to this build; a second time there is nothing to do. Run it before workers and API
    of a new build start."""
    settings = resolve(Settings())
    with progress("Migrating the database"):
        revision = bring_up_to_date(settings)
    say(f"The database is at revision {revision}.")


def bring_up_to_date(settings: Settings) -> str:
    """The revision that the database has afterwards. Raises Fault."""
    from views.migrate import upgrade

    with told(settings):
        return asyncio.run(upgrade(settings.database.get_secret_value()))
