"""One partition of all topics of a realm, read once and judged by itself."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ops.fire.checker.answers import Answers
from ops.fire.checker.findings import NO_OUTCOME, Findings
from ops.fire.checker.journal import CommandKey, Journal
from ops.fire.checker.raw import Raw, read
from ops.fire.checker.state import State
from topics.settings import Settings

REROUTED, ORIGIN = "bitcorp-rerouted", "bitcorp-origin"
UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass
class Commands:
    """What lies in a partition of the commands: by offset what it says of itself; the ids that can be read somewhere
    in the records of a company; how many records have none, or several; the places that some of them say they come
    from; and which are of the platform itself."""

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
        self.nameless += not found or [name for name, _ in record.headers].count("ce_id") > 1
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
    """One partition of a realm; `elsewhere` are the commands that were set aside or passed on, of all partitions."""

    def __init__(self, settings: Settings, realm: str, partition: int, findings: Findings) -> None:
        self.partition = partition
        self.commands = Commands()
        self.journal, self.answers = Journal(findings), Answers(findings)
        self.state = State(f"{settings.prefix}.{realm}state-changelog", partition, findings)
        self.letters: set[str] = set()
        self.elsewhere: set[str] = set()
        self._takers: dict[str, Callable[[Raw], None]] = {
            "commands": self.commands.take,
            "events": self.journal.take,
            "outcomes": self.answers.take,
            "dead-letters": self._set_aside,
            "state-changelog": self.state.take,
        }

    def take(self, topic: str, record: Raw) -> None:
        """The next record of the partition of a topic, named without the realm."""
        self._takers[topic](record)

    def _set_aside(self, letter: Raw) -> None:
        topic, *place = letter.header.get(ORIGIN, "").rsplit("/", 2)
        if topic.endswith("commands"):
            self.letters.add("/".join(place))

    def judge(self, findings: Findings) -> None:
        """All that can be said of it when all partitions are read."""
        self.journal.positions.judge()
        self.answers.positions.judge()
        self.answers.judge(self.journal)
        self.state.judge(self.journal, self.answers)
        findings.saw("commands", len(self.commands.texts))
        for offset, text in self.commands.texts.items():
            if offset not in self.answers.by_offset and f"{self.partition}/{offset}" not in self.elsewhere:
                findings.add(NO_OUTCOME, text, "has no outcome and no dead letter")


TOPICS = ("commands", "events", "outcomes", "dead-letters", "state-changelog")


def read_realms(settings: Settings, realms: Sequence[str], findings: Findings) -> dict[str, list[Part]]:
    """All partitions of the topics whose names begin with each realm's."""
    found = {realm: [Part(settings, realm, p, findings) for p in range(settings.partitions)] for realm in realms}
    names = {f"{settings.prefix}.{realm}{topic}": (realm, topic) for realm in realms for topic in TOPICS}
    for record in read(settings, names):
        realm, topic = names[record.topic]
        found[realm][record.partition].take(topic, record)
    for parts in found.values():
        elsewhere = {place for part in parts for place in (*part.letters, *part.commands.rerouted)}
        for part in parts:
            part.elsewhere = elsewhere
    return found
