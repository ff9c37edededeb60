"""What people see: tables folded from events, and what can be read of them. The views listed here are all there is."""

from datetime import timedelta
from typing import Any

from views.categories import CATEGORIES, categories
from views.companies import COMPANIES, companies
from views.equipment import EQUIPMENT, equipment
from views.history import EQUIPMENT_HISTORY, history
from views.maintenance import MAINTENANCE_JOBS, maintenance
from views.outcomes import OUTCOMES, outcomes
from views.resource import Resource
from views.users import USERS, users
from views.view import Group, View

RESOURCES: tuple[Resource[Any], ...] = (
    COMPANIES,
    USERS,
    CATEGORIES,
    EQUIPMENT,
    EQUIPMENT_HISTORY,
    MAINTENANCE_JOBS,
    OUTCOMES,
)

#: Group name -> views that move together, with a reader and checkpoints of their own. Within a group an event reaches
#: the views in this order: machines are derived from jobs, so jobs change first.
GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        Group(
            "fleet",
            "events",
            "Companies, users, categories, machines and their jobs as they stand.",
            (companies, users, categories, maintenance, equipment),
        ),
        Group("history", "events", "Every event of every thing.", (history,)),
        Group("outcomes", "outcomes", "The first answer to each command.", (outcomes,), keeps=timedelta(days=30)),
    )
}

VIEWS: tuple[View, ...] = tuple(view for group in GROUPS.values() for view in group.views)
