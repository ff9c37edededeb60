"""The example fleet and what its data files imply, counted from the files alone: no rule of the product is asked."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

FLEET = Path(__file__).parent.parent / "examples" / "fleet"
PAST, TODAY = FLEET / "1-past", FLEET / "2-today"

#: What a command of each file leads to, unless its `expect` cell says something else.
USUAL = {
    "company.create-company": ("company-created", "user-added-to-company"),
    "company.update-maintenance-policy": ("maintenance-policy-updated",),
    "company.suspend-company": ("company-suspended",),
    "company.reactivate-company": ("company-reactivated",),
    "user.add-user": ("user-added-to-company",),
    "category.define-category": ("category-defined",),
    "equipment.create-equipment": ("equipment-created",),
    "equipment.record-maintenance": ("maintenance-completed",),
    "equipment.schedule-maintenance": ("maintenance-scheduled",),
    "equipment.start-maintenance": ("maintenance-started",),
    "equipment.complete-maintenance": ("maintenance-completed",),
    "equipment.assign-equipment": ("equipment-assigned",),
    "equipment.return-equipment": ("equipment-returned",),
    "equipment.rename-equipment": ("equipment-renamed",),
    "equipment.retire-equipment": ("equipment-retired",),
}

ACCEPTED, NOTHING, REPEAT, UNANSWERED = "accepted", "accepted, was so already", "repeated id", "no answer"
MIS_KEYED = "mis-keyed"

CommandKey = tuple[str, str]

#: Tables whose rows follow from the rows of other views, and not from the number of commands.
IMPLIED_BY_OTHERS = {"equipment_past", "machine_counts", "credentials", "audit"}


@dataclass(frozen=True)
class Sent:
    """One published command with the answer and the events that it must lead to. See examples/fleet/README.md."""

    place: str
    kind: str
    company: str
    subject: str
    command_id: str
    how: str
    answer: str
    events: tuple[str, ...]
    dead_letter: bool

    @property
    def key(self) -> CommandKey:
        """Ids are unique within a company."""
        return self.company, self.command_id

    @property
    def unanswered(self) -> bool:
        return self.answer == UNANSWERED


def read(*folders: Path) -> list[Sent]:
    """All commands in the order of publication."""
    return [sent for folder in folders for path in sorted(folder.glob("*.csv")) for sent in _file(path)]


def _file(path: Path) -> Iterator[Sent]:
    kind = path.stem.partition("-")[2]
    aggregate = kind.partition(".")[0]
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            answer, events, dead_letter = _implied(kind, row["expect"].split())
            yield Sent(
                place=f"{path.parent.name}/{path.name}:{line}",
                kind=kind,
                company=row["company"],
                subject=f"{aggregate}/{row[f'{aggregate}_id']}",
                command_id=str(uuid5(NAMESPACE_URL, f"fleet:{row['id']}")),
                how=row["how"],
                answer=answer,
                events=events,
                dead_letter=dead_letter,
            )


def _implied(kind: str, expect: list[str]) -> tuple[str, tuple[str, ...], bool]:
    """Answer, events and whether a dead letter is left."""
    more = tuple(name for word in expect if word.startswith("+") for name in _named(word))
    words = [word for word in expect if not word.startswith("+") and word != "dead-letter"]
    dead_letter = "dead-letter" in expect
    match words:
        case [] if dead_letter:
            return UNANSWERED, (), True
        case []:
            return ACCEPTED, USUAL[kind] + more, False
        case ["nothing"]:
            return NOTHING, (), False
        case ["repeat"]:
            return REPEAT, (), False
        case [code]:
            return code, (), dead_letter
    raise ValueError(f"{expect} is not understood")


def _named(word: str) -> list[str]:
    """`+maintenance-cancelled*2` -> the name twice."""
    name, _, times = word[1:].partition("*")
    return [name] * int(times or 1)


def answers(sent: Iterable[Sent]) -> Counter[str]:
    """How many commands must get each answer; those that get none are left out."""
    return Counter(command.answer for command in sent if not command.unanswered)


def answers_by_key(sent: Iterable[Sent]) -> dict[CommandKey, Counter[str]]:
    """All answers that must come to each command id, as an id may be sent more than once."""
    found: dict[CommandKey, Counter[str]] = defaultdict(Counter)
    for command in sent:
        if not command.unanswered:
            found[command.key][command.answer] += 1
    return found


def events(sent: Iterable[Sent]) -> Counter[str]:
    return Counter(name for command in sent for name in command.events)


def rows(sent: Iterable[Sent]) -> dict[str, int]:
    """Rows that each view's table must have."""
    sent = list(sent)
    happened = events(sent)
    recorded = sum(command.kind == "equipment.record-maintenance" and command.answer == ACCEPTED for command in sent)
    return {
        "companies": happened["company-created"],
        "users": happened["user-added-to-company"],
        "categories": happened["category-defined"],
        "equipment": happened["equipment-created"],
        "maintenance_jobs": happened["maintenance-scheduled"] + recorded,
        "history": happened.total(),
        "outcomes": len(answers_by_key(sent)),
        "dead_letters": sum(command.dead_letter for command in sent),
    }
