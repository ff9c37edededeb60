"""The outcomes of one partition as a reader takes them: one first answer to each command, in the order of commands."""

from typing import Any, NamedTuple

from ops.fire.checker.findings import CONFLICT, DOUBLED, LOST, NO_OUTCOME, REORDERED, Findings
from ops.fire.checker.journal import CommandKey, Journal, data_of
from ops.fire.checker.positions import Positions
from ops.fire.checker.raw import Raw


class Answer(NamedTuple):
    """What one outcome says, and where it lies. `first` and `last` are the positions of the command's events."""

    where: str
    key: CommandKey
    status: str
    code: str | None
    version: int | None
    first: int | None
    last: int | None
    fingerprint: str
    offset: int

    @property
    def said(self) -> tuple[Any, ...]:
        """The answer itself."""
        return self[2:8]

    @property
    def positions(self) -> list[int]:
        """Of the command's events."""
        return [] if self.first is None or self.last is None else list(range(self.first, self.last + 1))


class Answers:
    """`first` has the one answer that counts of each command; `by_offset` each answer by its command's offset."""

    def __init__(self, findings: Findings) -> None:
        self.positions = Positions(findings)
        self.first: dict[CommandKey, Answer] = {}
        self.by_offset: dict[int, Answer] = {}
        self._last_offset = -1
        self._findings = findings

    def take(self, record: Raw) -> None:
        """The next record of the partition."""
        if not self.positions.take(record):
            return
        said = data_of(record)
        answer = _answer(record, said)
        self._place(answer)
        if said.get("repeat"):
            self._compare(answer)
        elif not said.get("conflict"):
            self._keep(answer)

    def _place(self, answer: Answer) -> None:
        """Commands are answered in their order, each once."""
        if answer.offset in self.by_offset:
            self._findings.add(DOUBLED, answer.where, f"the command at offset {answer.offset} was answered already")
        elif answer.offset < self._last_offset:
            self._findings.add(REORDERED, answer.where, f"answers {answer.offset} after {self._last_offset}")
        self._last_offset = max(self._last_offset, answer.offset)
        self.by_offset[answer.offset] = answer

    def _compare(self, answer: Answer) -> None:
        """What is repeated is the first answer."""
        first = self.first.get(answer.key)
        if first is None or first.said != answer.said:
            self._findings.add(DOUBLED, answer.where, f"{answer.key[1]} is answered otherwise than at first")

    def _keep(self, answer: Answer) -> None:
        if answer.key in self.first:
            self._findings.add(DOUBLED, answer.where, f"{answer.key[1]} was decided at {self.first[answer.key].where}")
        self.first.setdefault(answer.key, answer)

    def judge(self, journal: Journal) -> None:
        """Each command has exactly the events that its answer names."""
        self._findings.saw("first answers", len(self.first))
        for key, answer in self.first.items():
            happened, wanted = journal.caused.get(key, []), answer.positions
            if missing := sorted(set(wanted) - set(happened)):
                self._findings.add(LOST, answer.where, f"{key[1]} has no event at positions {missing}")
            if more := sorted(set(happened) - set(wanted)):
                kind = DOUBLED if wanted else CONFLICT
                self._findings.add(kind, answer.where, f"{key[1]} has more events, at positions {more}")
        for key in journal.caused.keys() - self.first.keys():
            self._findings.add(NO_OUTCOME, "/".join(key), f"has events at {journal.caused[key]} and no outcome")


def _answer(record: Raw, said: dict[str, Any]) -> Answer:
    return Answer(
        record.where,
        (record.company, str(said.get("command_id"))),
        str(said.get("status")),
        said.get("code"),
        said.get("version"),
        said.get("first"),
        said.get("last"),
        str(said.get("fingerprint")),
        int(said.get("offset", -1)),
    )
