"""What people see: tables folded from events, and what can be read of them. The views listed here are all there is."""

from datetime import timedelta
from typing import Any

from views.assets import ASSETS, assets
from views.audit import AUDIT, audit
from views.book_entries import BOOK_ENTRIES, book_entries
from views.books import BOOKS, SCHEDULES, books
from views.categories import CATEGORIES, categories
from views.companies import COMPANIES, companies
from views.compliance import CATEGORY_COMPLIANCE, COMPLIANCE
from views.credentials import credentials
from views.dashboard import CATEGORY_COUNTS, DASHBOARD, PLACE_COUNTS
from views.dead_letters import DEAD_LETTERS, dead_letters, discarded_letters
from views.downtime import DOWNTIME, downtime
from views.equipment import EQUIPMENT, equipment
from views.history import EQUIPMENT_HISTORY, history
from views.keys import KEYS, keys
from views.machine_counts import machine_counts
from views.maintenance import MAINTENANCE_JOBS, maintenance
from views.meters import METER_READINGS, meters
from views.outcomes import OUTCOMES, outcomes
from views.ownership import OWNERSHIP
from views.parts import PARTS, parts
from views.past import past
from views.plans import PLANS, plans
from views.reliability import CATEGORY_RELIABILITY, RELIABILITY
from views.resource import Resource
from views.roles import ROLES, roles
from views.stock_movements import STOCK_MOVEMENTS, stock_movements
from views.users import USERS, users
from views.view import Group, View

RESOURCES: tuple[Resource[Any], ...] = (
    COMPANIES,
    USERS,
    ROLES,
    KEYS,
    CATEGORIES,
    EQUIPMENT,
    EQUIPMENT_HISTORY,
    MAINTENANCE_JOBS,
    DOWNTIME,
    METER_READINGS,
    DASHBOARD,
    CATEGORY_COUNTS,
    PLACE_COUNTS,
    RELIABILITY,
    CATEGORY_RELIABILITY,
    COMPLIANCE,
    CATEGORY_COMPLIANCE,
    OWNERSHIP,
    BOOKS,
    SCHEDULES,
    BOOK_ENTRIES,
    PARTS,
    STOCK_MOVEMENTS,
    PLANS,
    ASSETS,
    OUTCOMES,
    AUDIT,
    DEAD_LETTERS,
)

#: Group name -> views that move together, with a reader and checkpoints of their own. Within a group an event reaches
#: the views in this order: machines are derived from jobs, so jobs change first.
GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        Group(
            "fleet",
            "events",
            "Companies, users, roles, keys, categories, machines with all of theirs, parts, plans, assets, discards.",
            (
                companies,
                users,
                roles,
                keys,
                categories,
                maintenance,
                downtime,
                meters,
                equipment,
                machine_counts,
                books,
                book_entries,
                parts,
                stock_movements,
                plans,
                assets,
                discarded_letters,
            ),
        ),
        Group("history", "events", "Every event of every thing, and what was known and true when.", (history, past)),
        Group("credentials", "credentials.events", "What passwords and codes are compared with.", (credentials,)),
        Group("audit", "audit", "Who did what, when, from where and under which key.", (audit,)),
        Group("outcomes", "outcomes", "The first answer to each command.", (outcomes,), keeps=timedelta(days=30)),
        Group(
            "dead-letters", "dead-letters", "What could not be processed.", (dead_letters,), keeps=timedelta(days=30)
        ),
    )
}

VIEWS: tuple[View, ...] = tuple(view for group in GROUPS.values() for view in group.views)
