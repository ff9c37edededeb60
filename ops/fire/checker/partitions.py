"""One partition of all topics of a realm, read once and judged by itself."""

import re
from dataclasses import dataclass, field

from ops.fire.checker.answers import Answers
from ops.fire.checker.findings import NO_OUTCOME, Findings
from ops.fire.checker.journal import CommandKey, Journal
from ops.fire.checker.raw import Raw, Reading
from ops.fire.checker.state import State
from topics.settings import Settings

REROUTED, ORIGIN = "bitcorp-rerouted", "bitcorp-origin"
UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass
class Commands:
    """What lies in a partition of the commands: by offset what it says of itself; the ids that can be read somewhere
    in the records of a company; how many records have none; the places that some of them say they come from; and
    which are of the platform itself."""

    texts: dict[int, str] = field(default_factory=dict)
    named: set[CommandKey] = field(default_factory=set)
    nameless: int = 0
    rerouted: set[str] = field(default_factory=set)
    ours: set[CommandKey] = field(default_factory=set)

    def take(self, record: Raw) -> None:
        """The next record of the partition."""
        found = {(record.company, id_) for id_ in names(record)}
        self.texts[record.offset] = f"{record.where}: {record.said('type') or 'a record'} {record.said('id')}"
        self.named |= found
        self.nameless += not found
        if REROUTED in record.header:
            self.rerouted.add(record.header[REROUTED])
        if record.said("actor").startswith("system:") or record.company.startswith("_"):
            self.ours |= found


def names(record: Raw) -> set[str]:
    """The id of a command; where it does not say it as it should, all that might be meant."""
    told = record.said("id").encode()
    if UUID.fullmatch(told):
        return {told.decode().lower()}
    everywhere = [*(value or b"" for _, value in record.headers), record.value or b""]
    return {found.decode().lower() for text in everywhere for found in UUID.findall(text)}


class Part:
    """One partition."""

    def __init__(self, settings: Settings, realm: str, partition: int, findings: Findings) -> None:
        self.partition = partition
        self.commands = Commands()
        self.journal, self.answers = Journal(findings), Answers(findings)
        self.state = State(f"{settings.prefix}.{realm}state-changelog", partition, findings)
        self.letters: set[str] = set()
        self.rerouted: set[str] = set()

    def judge(self, findings: Findings) -> None:
        """All that can be said of it when all partitions are read."""
        self.journal.positions.judge()
        self.answers.positions.judge()
        self.answers.judge(self.journal)
        self.state.judge(self.journal, self.answers)
        findings.saw("commands", len(self.commands.texts))
        for offset, text in self.commands.texts.items():
            if not self._answered(offset):
                findings.add(NO_OUTCOME, text, "has no outcome and no dead letter")

    def _answered(self, offset: int) -> bool:
        place = f"{self.partition}/{offset}"
        return offset in self.answers.by_offset or place in self.letters or place in self.rerouted


def read_realm(reading: Reading, realm: str, findings: Findings) -> dict[int, Part]:
    """All partitions of the topics whose names begin with the realm's. Commands are read first, so that what follows
    from them is there or is missing; where they still come in, the rest may be ahead."""
    settings = reading.settings
    parts = {number: Part(settings, realm, number, findings) for number in range(settings.partitions)}
    for record in reading.all(f"{realm}commands"):
        parts[record.partition].commands.take(record)
    for record in reading.all(f"{realm}state-changelog"):
        parts[record.partition].state.take(record)
    for record in reading.all(f"{realm}outcomes"):
        parts[record.partition].answers.take(record)
    for record in reading.all(f"{realm}events"):
        parts[record.partition].journal.take(record)
    _place_the_unanswered(reading, realm, parts)
    return parts


def _place_the_unanswered(reading: Reading, realm: str, parts: dict[int, Part]) -> None:
    """Commands that were set aside, or passed on to the partition where their company lives."""
    commands = f"{reading.settings.prefix}.{realm}commands/"
    letters = {_origin(record, commands) for record in reading.all(f"{realm}dead-letters")}
    rerouted = {place for part in parts.values() for place in part.commands.rerouted}
    for part in parts.values():
        part.letters, part.rerouted = letters, rerouted


def _origin(record: Raw, commands: str) -> str:
    """`<partition>/<offset>` of the command that a dead letter holds."""
    return record.header.get(ORIGIN, "").removeprefix(commands)
