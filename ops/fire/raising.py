"""A fault of ours in one rule: it raises where a machine is to have one name. All lane workers of a campaign have it,
since two that decide differently would be another fault."""

from collections.abc import Iterator
from dataclasses import replace

from domain import BUSINESS
from domain.decider import Context
from domain.equipment import Equipment, RenameEquipment, equipment, rename_equipment
from domain.model import Event

#: The name at which the rule raises.
BOOM = "boom"


def raise_at_boom(machine: Equipment, cmd: RenameEquipment, context: Context) -> Iterator[Event]:
    """The rule as it is, but for one name."""
    if cmd.name == BOOM:
        raise ZeroDivisionError("a rule that raises")
    yield from rename_equipment(machine, cmd, context)


def spoil() -> None:
    """Put the rule in its place, also where rules were looked up before."""
    rule = replace(equipment.rules[RenameEquipment], decide=raise_at_boom)
    equipment.rules[RenameEquipment] = BUSINESS.rules[rule.type] = rule
