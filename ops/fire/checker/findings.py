"""What the checker has found wrong, and how much it has looked at."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

LOST, DOUBLED, REORDERED, GAP, CONFLICT = "lost", "doubled", "reordered", "gap", "conflict"
VIEW_DIFFERS, NO_OUTCOME, UNSEEN = "view-differs", "no-outcome", "unseen"
KINDS = (LOST, DOUBLED, REORDERED, GAP, CONFLICT, VIEW_DIFFERS, NO_OUTCOME, UNSEEN)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind, one of `KINDS`; the topic or table and the place in it; what is there.

    lost: was acknowledged or decided, and is not there · doubled: happened twice · reordered: a reader that ignores
    repeats sees it too late · gap: a position that is nowhere · conflict: one place or one thing with two contents ·
    view-differs: a row is not what the events come to · no-outcome: a command without an answer · unseen: an event of a
    command that nobody sent.
    """

    kind: str
    where: str
    detail: str


@dataclass
class Findings:
    """All findings, in the order in which they were found; `examined` says how much of what was looked at."""

    all: list[Finding] = field(default_factory=list)
    examined: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, where: str, detail: str) -> None:
        self.all.append(Finding(kind, where, detail))

    def saw(self, what: str, count: int = 1) -> None:
        self.examined[what] += count

    @property
    def clean(self) -> bool:
        return not self.all

    @property
    def kinds(self) -> Counter[str]:
        """How many there are of each kind."""
        return Counter(finding.kind for finding in self.all)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)
