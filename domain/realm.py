"""A realm: deciders and rosters that are decided together, in lanes and topics of their own."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from domain.decider import Decider, Refusal, Roster, Rule, wire_type
from domain.model import Event


@dataclass(frozen=True, eq=False)
class Realm:
    """What is decided together. `secret`: what its commands say is repeated nowhere, so its dead letters hold a digest
    instead. `reads`: permissions to read what belongs to none of its aggregates."""

    name: str
    deciders: tuple[Decider[Any], ...]
    kept: tuple[Roster[Any], ...] = ()
    secret: bool = False
    reads: frozenset[str] = frozenset()

    @cached_property
    def by_name(self) -> dict[str, Decider[Any]]:
        """Aggregate name -> decider."""
        return {decider.name: decider for decider in self.deciders}

    @cached_property
    def rosters(self) -> dict[str, Roster[Any]]:
        """Roster name -> roster."""
        return {roster.name: roster for roster in self.kept}

    @cached_property
    def rules(self) -> dict[str, Rule[Any]]:
        """Wire type -> rule, for every command."""
        return {rule.type: rule for decider in self.deciders for rule in decider.rules.values()}

    @cached_property
    def homes(self) -> dict[type[Event], Decider[Any]]:
        """Event class -> the decider that folds it."""
        return {event: decider for decider in self.deciders for event in decider.events}

    @cached_property
    def events(self) -> dict[str, type[Event]]:
        """Wire type -> event class."""
        return {wire_type(decider, event): event for event, decider in self.homes.items()}

    @cached_property
    def fed(self) -> dict[type[Event], tuple[Roster[Any], ...]]:
        """Event class -> the rosters that it feeds, for those that feed any."""
        found = {event: tuple(roster for roster in self.kept if event in roster.folds) for event in self.homes}
        return {event: rosters for event, rosters in found.items() if rosters}

    @cached_property
    def companions(self) -> dict[str, tuple[str, ...]]:
        """Aggregate name -> the rosters that are stored whenever such an aggregate is."""
        return {
            decider.name: tuple(roster.name for roster in self.kept if roster.goes_with(decider))
            for decider in self.deciders
        }

    @cached_property
    def refusing(self) -> dict[type[Event], Refusal]:
        """Event class -> the refusal that its command's outcome is."""
        return {event: refusal for decider in self.deciders for event, refusal in decider.refusing.items()}

    @cached_property
    def permissions(self) -> frozenset[str]:
        """What a company's own roles may permit: any command but those of operators, and reading."""
        given = [rule for rule in self.rules.values() if not rule.operators]
        reads = {f"{rule.decider.name}.read" for rule in given} | self.reads
        return frozenset({rule.permission for rule in given} | reads)
