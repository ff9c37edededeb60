"""What an audit has looked at and what it found wrong; plain data, so that it travels between processes."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

SAMPLES = 5


class Check(StrEnum):
    """Everything that is checked, in the order of the report."""

    EVENT_POSITIONS = "events: positions are gap-free, repeats are equal"
    EVENTS = "events: ids, partitions and aggregate versions are right"
    CHAIN = "events: each company's hash chain holds"
    OUTCOME_POSITIONS = "outcomes: positions are gap-free, repeats are equal"
    OUTCOMES = "outcomes: name their events, and repeats say so"
    AUDIT = "audit: each partition's hash chain holds"
    RECORDED = "audit: tells every outcome as it was"
    COMMANDS = "commands: each has exactly one first outcome"
    REROUTED = "commands: mis-keyed ones reached their own partition"
    STATE = "state: the changelog equals the fold"
    REMEMBERED = "state: remembered command ids equal their outcomes"
    HEADS = "state: heads stand at the ends of the topics"
    CHECKPOINTS = "views: checkpoints stand at the ends of the topics"
    VIEWS = "views: rows equal the fold"


@dataclass
class Findings:
    """Counts per check, and the first faults in words."""

    examined: Counter[Check] = field(default_factory=Counter)
    repeats: Counter[Check] = field(default_factory=Counter)
    faults: Counter[Check] = field(default_factory=Counter)
    samples: dict[Check, list[str]] = field(default_factory=dict)

    def saw(self, check: Check, count: int = 1) -> None:
        self.examined[check] += count

    def repeated(self, check: Check) -> None:
        """The same again, which every reader ignores: no fault, but worth a number."""
        self.repeats[check] += 1

    def fault(self, check: Check, text: str) -> None:
        self.faults[check] += 1
        kept = self.samples.setdefault(check, [])
        if len(kept) < SAMPLES:
            kept.append(text)

    def expect(self, fact: bool, check: Check, text: str) -> bool:
        if not fact:
            self.fault(check, text)
        return fact

    def add(self, other: "Findings") -> None:
        self.examined += other.examined
        self.repeats += other.repeats
        self.faults += other.faults
        for check, texts in other.samples.items():
            kept = self.samples.setdefault(check, [])
            kept += texts[: SAMPLES - len(kept)]

    @property
    def clean(self) -> bool:
        return not self.faults
