"""What the demo found beside what the fleet's data files imply, and how fast it went."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ops import fleet
from ops.console import plain, table
from ops.fleet import MIS_KEYED, Sent
from ops.watch import Answer, ViewClock, Watch

MOST_SHOWN = 10
VIEW_GROUP = "fleet"


@dataclass(frozen=True)
class Check:
    """One figure: what the data files imply, and what was seen."""

    table: str
    name: str
    expected: int
    seen: int

    @property
    def right(self) -> bool:
        return self.expected == self.seen


def checks(sent: list[Sent], watch: Watch, rows: Mapping[str, int]) -> list[Check]:
    """All figures. `rows` are the rows of each view's table."""
    found = [
        Check("Topics", "commands published", len(sent), watch.commands),
        Check("Topics", "of them re-routed", sum(command.how == MIS_KEYED for command in sent), len(watch.rerouted)),
        Check("Topics", "outcomes", fleet.answers(sent).total(), len(watch.answers)),
        Check("Topics", "events", fleet.events(sent).total(), watch.events.total()),
        Check("Topics", "dead letters", sum(command.dead_letter for command in sent), len(watch.dead_letters)),
    ]
    found += _compared("Commands by outcome", fleet.answers(sent), Counter(answer.text for answer in watch.answers))
    found += _compared("Events by type", fleet.events(sent), watch.events)
    return found + _compared("Rows in the views", fleet.rows(sent), rows)


def _compared(title: str, expected: Mapping[str, int], seen: Mapping[str, int]) -> list[Check]:
    names = sorted({*expected, *seen}, key=lambda name: (-expected.get(name, 0), name))
    return [Check(title, name, expected.get(name, 0), seen.get(name, 0)) for name in names]


def wrong_answers(sent: list[Sent], answers: Iterable[Answer]) -> Iterator[str]:
    """A line for every command that was not answered as its row in the data files says."""
    came: dict[fleet.CommandKey, Counter[str]] = {}
    for answer in answers:
        came.setdefault(answer.key, Counter())[answer.text] += 1
    places = {command.key: command.place for command in sent}
    wanted = fleet.answers_by_key(sent)
    for key in {**wanted, **came}:
        if wanted.get(key, Counter()) != came.get(key, Counter()):
            yield (
                f"{places.get(key, 'nowhere')} ({key[0]}, {key[1]}): expected {_words(wanted.get(key))}, "
                f"seen {_words(came.get(key))}"
            )


def _words(found: Counter[str] | None) -> str:
    return ", ".join(sorted(found.elements())) if found else "nothing"


@dataclass(frozen=True)
class Speed:
    """How fast a phase went. Latencies are those of the commands that were accepted with an event, in seconds."""

    commands: int
    seconds: float
    to_outcome: tuple[float, ...]
    to_view: tuple[float, ...]


def speed(answers: list[Answer], watch: Watch, clock: ViewClock) -> Speed:
    """From the moment at which the sender wrote the command to the arrival of its outcome, and to its visibility."""
    timed = [(answer, watch.published[answer.command]) for answer in answers if answer.command in watch.published]
    shown = [(clock.shown(VIEW_GROUP, answer.last_event), sent) for answer, sent in timed if answer.last_event]
    return Speed(
        len(answers),
        max(answer.seen for answer in answers) - min(sent for _, sent in timed),
        tuple(answer.seen - sent for answer, sent in timed),
        tuple(seen - sent for seen, sent in shown if seen is not None),
    )


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed; not a number where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def tables(found: list[Check]) -> RenderableType:
    """One table per kind of figure, the longest beside the others where the terminal is wide enough."""
    by_title: dict[str, list[Check]] = {}
    for check in found:
        by_title.setdefault(check.table, []).append(check)
    longest = max(by_title, key=lambda title: len(by_title[title]))
    made = {title: Padding(_table(title, rows), (0, 4, 1, 0)) for title, rows in by_title.items()}
    return Columns([made.pop(longest), Group(*made.values())])


def _table(title: str, rows: list[Check]) -> RenderableType:
    return table(title, ("", "expected", "seen", " "), map(_row, rows))


def _row(check: Check) -> tuple[object, ...]:
    return check.name, check.expected, check.seen, plain("ok", "green") if check.right else plain("DIFFERS", "bold red")


def speed_lines(past: Speed, today: Speed, rate: float) -> Iterator[Text]:
    """Throughput of the first phase and latency of the second, and what exactly was measured."""
    yield plain("Speed", "bold")
    yield plain(
        f"  {past.commands} commands as fast as they were taken: {past.commands / past.seconds:.0f} commands/s "
        f"(first command published to last outcome seen: {past.seconds:.1f} s)"
    )
    yield plain(f"  {today.commands} commands at {rate:g}/s, from the sender's clock just before sending:")
    for name, values in (
        ("to its outcome, seen by a consumer", today.to_outcome),
        ("to its rows in the views", today.to_view),
    ):
        p50, p99 = (f"{percentile(values, share) * 1000:.0f} ms" for share in (0.5, 0.99))
        yield plain(f"    {name:<36} p50 {p50:>8}   p99 {p99:>8}")
