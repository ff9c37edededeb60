"""The reader's rule for positions: accept the next one, ignore the same again, stop at a gap."""

from array import array
from hashlib import blake2b

from ops.audit.findings import Check, Findings
from topics.cloudevents import Record
from topics.messages import pack


class Positions:
    """Positions of one partition as they come by, with eight bytes of what each held."""

    def __init__(self, check: Check, findings: Findings, *, whole: bool) -> None:
        """`whole` says that the topic still holds its beginning, so that the first position must be 1."""
        self._check = check
        self._findings = findings
        self._first = 1 if whole else 0
        self._digests = array("Q")

    @property
    def last(self) -> int:
        """The last position seen; 0 where there was none."""
        return max(0, self._first - 1) + len(self._digests)

    def take(self, record: Record, position: int) -> bool:
        """Whether the record is the next one; otherwise it is a repeat, or a fault is noted."""
        self._findings.saw(self._check)
        if self._first == 0:
            self._first = position
        if position == self.last + 1:
            self._digests.append(digest(record))
            return True
        place = f"{record.topic}/{record.partition} offset {record.offset}"
        if position > self.last + 1:
            self._findings.fault(self._check, f"{place}: position {self.last + 1} is missing, {position} follows")
            self._digests.extend([0] * (position - self.last - 1))
            self._digests.append(digest(record))
            return True
        if position < self._first or self._digests[position - self._first] == digest(record):
            self._findings.repeated(self._check)
        else:
            self._findings.fault(self._check, f"{place}: position {position} comes again with other content")
        return False


def digest(record: Record) -> int:
    """Eight bytes of a hash over all that a record says."""
    return int.from_bytes(blake2b(pack(record), digest_size=8).digest(), "big")
