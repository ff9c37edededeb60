"""What the business says: pure rules over events. The deciders and rosters listed here are all there is; the rest is
computed."""

from typing import Any

from domain.asset import asset, counted_numbers
from domain.category import category
from domain.company import company
from domain.decider import Decider, Roster, Rule, wire_type
from domain.equipment import equipment
from domain.key import key
from domain.model import Event
from domain.part import part
from domain.plan import plan
from domain.platform import platform
from domain.role import role, staff
from domain.user import user

DECIDERS: tuple[Decider[Any], ...] = (company, user, role, key, category, equipment, part, plan, asset, platform)

#: Roster name -> roster.
ROSTERS: dict[str, Roster[Any]] = {roster.name: roster for roster in (staff, counted_numbers)}

#: Aggregate name -> decider.
BY_NAME: dict[str, Decider[Any]] = {decider.name: decider for decider in DECIDERS}

#: Wire type -> rule, for every command.
RULES: dict[str, Rule[Any]] = {rule.type: rule for decider in DECIDERS for rule in decider.rules.values()}

#: Event class -> the decider that folds it.
HOMES: dict[type[Event], Decider[Any]] = {event: decider for decider in DECIDERS for event in decider.events}

#: Wire type -> event class.
EVENTS: dict[str, type[Event]] = {wire_type(decider, event): event for event, decider in HOMES.items()}

#: Event class -> the rosters that it feeds.
FED: dict[type[Event], tuple[Roster[Any], ...]] = {
    event: rosters
    for event in HOMES
    if (rosters := tuple(roster for roster in ROSTERS.values() if event in roster.folds))
}

#: What a company's own roles may permit: any command but those of operators, and reading.
PERMISSIONS: frozenset[str] = frozenset(
    {rule.permission for rule in RULES.values() if not rule.operators}
    | {f"{name}.read" for name in BY_NAME if name != platform.name}
)
