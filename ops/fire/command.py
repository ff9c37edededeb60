"""`bitcorp fire`: campaigns under load and faults, each repeatable by its seed."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ops.console import err, out, plain, say, table
from ops.embedded.locks import Lock
from ops.errors import Fault
from ops.fire.campaign import Plan, Report, run
from ops.fire.faults import FAULTS, playable
from ops.fire.ground import disk_of
from ops.fire.load import Sent
from ops.running import emptied
from ops.stopping import interruptible
from ops.up import program
from topics.settings import Settings

MOST_SHOWN = 20


def fire(
    *,
    seed: str = "1",
    seconds: float = 60,
    scenario: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    rate: float = 40,
) -> int:
    """Put the whole platform under load on servers of its own, let its parts fail one after the other, and check that
    nothing was lost, doubled, reordered or shown wrongly. Exit code 1 on any finding.

    Parameters
    ----------
    seed
        What the campaign's faults and commands are drawn from; 1..20 plays twenty campaigns.
    seconds
        How long faults go on in each campaign.
    scenario
        Only these faults; docs/fire.md lists them. All of them, mixed, if none is named.
    rate
        Commands a second.
    """
    interruptible()
    plans = [Plan.of(each, seconds, chosen(scenario or []), rate) for each in seeds(seed)]
    again = f"--seconds {seconds:g} --rate {rate:g}" + "".join(f" --scenario {name}" for name in scenario or [])
    try:
        clean = [_played(plan, again, Settings()) for plan in plans]
    except KeyboardInterrupt:
        say("Stopped before the end.")
        return 130
    if len(plans) > 1:
        say(f"{sum(clean)} of {len(clean)} campaigns are clean.", "bold")
    return 0 if all(clean) else 1


def seeds(text: str) -> Sequence[int]:
    """`7` -> 7 alone, `1..20` -> 1 to 20. Raises Fault."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError as fault:
        raise Fault(f"A seed is a whole number, or two of them as 1..20, not {text!r}.") from fault
    if not found:
        raise Fault(f"There is no seed in {text}: the first number is the smaller one.")
    return found


def chosen(names: Sequence[str]) -> Sequence[str]:
    """These faults, or else all that can be played here. Raises Fault for one that there is not, or not here."""
    here = playable()
    for name in names:
        if name not in here:
            why = "cannot be played here: it mounts a disk, for root on Linux" if name in FAULTS else "does not exist"
            raise Fault(f"The scenario {name} {why}. There are: {', '.join(here)}")
    return names or here


def _played(plan: Plan, again: str, settings: Settings) -> bool:
    """Whether the campaign is clean; the data of one that is not are kept, and the logs of all."""
    folder = settings.directory.absolute() / "fire" / str(plan.seed)
    _clear(folder)
    began = time.monotonic()
    report = run(plan, settings, folder, lambda what: say(f"{time.monotonic() - began:6.1f} s  {what}", "dim"))
    _show(plan, report)
    if report.findings:
        _accuse(plan, again, report, folder)
    else:
        for data in ("kafka", "postgres"):
            shutil.rmtree(folder / data)
    return not report.findings


def _show(plan: Plan, report: Report) -> None:
    waits = report.longest_waits()
    rows = [
        (fault.name, fault.meaning, report.times(fault.name), round(waits.get(fault.name, 0.0), 1))
        for fault in plan.faults
    ]
    columns = ("fault", "what it is", "times", "longest wait (s)")
    out.print(table(f"Campaign {plan.seed}", columns, rows))
    out.print(plain(f"Sent {len(report.sent)} times; {answers(report.sent)}"), soft_wrap=True)


def answers(sent: Sequence[Sent]) -> str:
    """How often Kafka acknowledged, and the APIs answered what."""
    kafka = Counter(each.acknowledged for each in sent if each.via == "kafka")
    http = Counter(str(each.status or "none") for each in sent if each.via == "http")
    said = ", ".join(f"{count} {status}" for status, count in sorted(http.items()))
    return f"Kafka: {kafka[True]} acknowledged, {kafka[False]} not; HTTP: {said}"


def _clear(folder: Path) -> None:
    """Remove what an earlier campaign has left, also one that was killed. Raises EmbeddedError where it still runs."""
    lock = Lock(folder / "stack.lock")
    if lock.acquire():
        disk_of(folder).unmount()
        lock.release()
    emptied(folder)
    shutil.rmtree(folder)


def _accuse(plan: Plan, again: str, report: Report, folder: Path) -> None:
    for text in report.findings[:MOST_SHOWN]:
        err.print(plain(f"  {text}", "red"), soft_wrap=True)
    say(f"{len(report.findings)} findings. The data and logs are in {folder}. Once more:", "bold")
    say(f"  {program()} fire --seed {plan.seed} {again}")
