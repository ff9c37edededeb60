"""What the business says: pure rules over events. The deciders listed here are all there is; the rest is computed."""

from typing import Any

from domain.category import category
from domain.company import company
from domain.decider import Decider, Rule, wire_type
from domain.equipment import equipment
from domain.model import Event
from domain.user import user

DECIDERS: tuple[Decider[Any], ...] = (company, user, category, equipment)

#: Aggregate name -> decider.
BY_NAME: dict[str, Decider[Any]] = {decider.name: decider for decider in DECIDERS}

#: Wire type -> rule, for every command.
RULES: dict[str, Rule[Any]] = {rule.type: rule for decider in DECIDERS for rule in decider.rules.values()}

#: Event class -> the decider that folds it.
HOMES: dict[type[Event], Decider[Any]] = {event: decider for decider in DECIDERS for event in decider.events}

#: Wire type -> event class.
EVENTS: dict[str, type[Event]] = {wire_type(decider, event): event for event, decider in HOMES.items()}
