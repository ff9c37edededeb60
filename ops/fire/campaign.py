"""One campaign: a platform of its own, a load, fault after fault drawn from a seed, and then the reckoning."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ops.audit.findings import Findings
from ops.console import progress
from ops.embedded.errors import silent
from ops.fire.checker import check
from ops.fire.faults import DISK_FULL, FAULTS, Fault, Scene
from ops.fire.following import Follower
from ops.fire.ground import Ground, settings_of
from ops.fire.load import HONEST, Load, Sent
from ops.fire.story import Story
from ops.fire.waiting import TooLate, until
from ops.verify import audit
from topics.settings import Settings

#: After this share of the faults the next one waits until all runs again, for a while; else it comes on top.
RECOVERED, RECOVERY_SECONDS = 0.3, 10.0
#: How long after the last fault everything may take to be answered, read and shown.
DEADLINE_SECONDS = 120.0
#: What answers a command of these kinds is an outcome or a dead letter.
SET_ASIDE = frozenset({"malformed", "poison"})


@dataclass(frozen=True)
class Plan:
    """What a campaign is: everything but time follows from the seed."""

    seed: int
    seconds: float
    faults: Sequence[Fault]
    rate: float

    @classmethod
    def of(cls, seed: int, seconds: float, names: Sequence[str], rate: float) -> "Plan":
        return cls(seed, seconds, [FAULTS[name] for name in names], rate)

    def drawn(self, chance: Random) -> Iterator[Fault]:
        """All faults in an order by chance, then all in another, without end."""
        while True:
            yield from chance.sample(self.faults, len(self.faults))


@dataclass
class Report:
    """When which fault began, what was sent, when it was answered, and what was found wrong."""

    began: list[tuple[float, str]] = field(default_factory=list)
    sent: Sequence[Sent] = ()
    answered: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def times(self, fault: str) -> int:
        return sum(name == fault for _, name in self.began)

    def longest_waits(self) -> dict[str, float]:
        """Fault -> seconds between a good command's sending and its outcome at most, of those that fell mostly into the
        time from this fault's beginning to that of the next."""
        found: dict[str, float] = defaultdict(float)
        for each in self.sent:
            answered = self.answered.get(each.id)
            if each.kind == "good" and answered:
                fault = self._fault_during(each.at, answered)
                found[fault] = max(found[fault], answered - each.at)
        return found

    def _fault_during(self, start: float, end: float) -> str:
        ends = [*(began for began, _ in self.began[1:]), math.inf]
        overlaps = [
            (min(end, next_one) - max(start, began), name)
            for (began, name), next_one in zip(self.began, ends, strict=True)
        ]
        return max(overlaps, default=(0.0, ""))[1]


def run(plan: Plan, settings: Settings, folder: Path, tell: Callable[[str], None] = silent) -> Report:
    """Play the campaign in an empty folder; `tell` is told what begins. Raises TooLate where it cannot begin."""
    report = Report()
    with Ground(settings_of(settings, folder), small_disk=FAULTS[DISK_FULL] in plan.faults) as ground:
        story, chance = Story(plan.seed), Random(plan.seed)  # noqa: S311 - to be repeated
        load = Load(ground.settings, ground.urls, story, plan.rate, folder / "sent.jsonl")
        with Follower(ground.settings) as follower:
            load.open()
            _play(plan, Scene(ground, story, load, chance), report, tell)
            _reckon(ground, load, follower, report, tell)
    return report


def _play(plan: Plan, scene: Scene, report: Report, tell: Callable[[str], None]) -> None:
    """One fault after the other, until the time has passed; then all is healed and nothing more is sent."""
    scene.load.start()
    began = now = time.monotonic()
    faults = plan.drawn(scene.chance)
    try:
        with progress(f"Campaign {plan.seed}", plan.seconds) as step:
            while now - began < plan.seconds:
                last, fault = now, next(faults)
                tell(fault.name)
                _happen(fault, scene, report)
                now = time.monotonic()
                step(now - last)
    finally:
        scene.ground.heal()
    scene.load.stop()


def _happen(fault: Fault, scene: Scene, report: Report) -> None:
    report.began.append((time.time(), fault.name))
    try:
        fault.happen(scene)
    except TooLate as late:
        report.findings.append(f"{fault.name}: {late}")
    scene.wait(1, 4)
    if scene.chance.random() < RECOVERED:
        with suppress(TooLate):  # whether it recovers at all is judged at the end
            until(scene.ground.whole, RECOVERY_SECONDS, "all runs")


def _reckon(ground: Ground, load: Load, follower: Follower, report: Report, tell: Callable[[str], None]) -> None:
    """Wait until everything is answered, then look at everything."""
    tell("recovery")
    deadline = time.monotonic() + DEADLINE_SECONDS
    report.sent, report.answered = load.record.sent, follower.outcomes
    try:
        until(lambda: ground.whole() and not unanswered(load, follower), DEADLINE_SECONDS, "all is well again")
    except TooLate as late:
        report.findings.append(f"recovery: {late}")
        report.findings += [f"no-outcome: {each}" for each in unanswered(load, follower)]
    tell("verification")
    report.findings += [f"answer: {text}" for text in dishonest(report.sent)]
    report.findings += told(audit(ground.settings, max(10.0, deadline - time.monotonic())))
    report.findings += [f"{it.kind}, {it.where}: {it.detail}" for it in check(ground.settings, load.record.path)]


def unanswered(load: Load, follower: Follower) -> list[Sent]:
    """Acknowledged commands without an outcome; a dead letter is enough for what is no command."""
    return [
        each
        for each in load.record.sent
        if each.acknowledged and each.id not in follower.outcomes and each.kind not in SET_ASIDE
    ]


def dishonest(sent: Sequence[Sent]) -> list[str]:
    """Answers of the APIs that no fault may bring about."""
    return [f"{each.status} to {each}" for each in sent if each.status not in HONEST][:5]


def told(found: Findings) -> list[str]:
    return [f"audit, {check}: {text}" for check, texts in found.samples.items() for text in texts]
