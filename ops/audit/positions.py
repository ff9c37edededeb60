"""The reader's rule for positions: accept the next one, ignore the same again, stop at a gap."""

from array import array
from hashlib import blake2b

from ops.audit.findings import Check, Findings
from topics.cloudevents import Record


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
    """Eight bytes of a hash over key, value and headers."""
    found = blake2b(digest_size=8)
    for part in (
        record.key,
        record.value,
        *(part for name, value in record.headers for part in (name.encode(), value)),
    ):
        found.update(b"%d:" % len(part or b""))
        found.update(part or b"")
    return int.from_bytes(found.digest(), "big")
