"""The rule by which readers of events and outcomes take positions, for one partition."""

from ops.fire.checker.findings import CONFLICT, GAP, REORDERED, Findings
from ops.fire.checker.raw import Raw


class Positions:
    """A reader keeps one number: the next position counts, and what is not beyond it is the same again.

    A command's messages are published again by whoever takes over, so repeats are legal if they are equal.
    """

    def __init__(self, findings: Findings) -> None:
        self.last = 0
        self._findings = findings
        self._digests: dict[int, bytes] = {}
        self._missing: dict[int, str] = {}

    def take(self, record: Raw) -> bool:
        """Whether a reader takes the record in."""
        position = record.number("sequence")
        self._findings.saw("positions")
        if position in self._digests:
            self._compare(position, record)
            return False
        self._digests[position] = record.digest
        if position > self.last:
            self._missing |= dict.fromkeys(range(self.last + 1, position), record.where)
            self.last = position
            return True
        self._late(position, record)
        return False

    def _compare(self, position: int, record: Raw) -> None:
        if self._digests[position] != record.digest:
            self._findings.add(CONFLICT, record.where, f"position {position} has another content than before")

    def _late(self, position: int, record: Raw) -> None:
        if self._missing.pop(position, None):
            self._findings.add(REORDERED, record.where, f"position {position} comes after position {self.last}")
        else:
            self._findings.add(CONFLICT, record.where, f"there is no position {position}")

    def judge(self) -> None:
        """At the end of the partition: what is missing comes no more."""
        for position, where in self._missing.items():
            self._findings.add(GAP, where, f"position {position} is missing before it")
