"""`bitcorp verify`: reads the journal again, folds it independently, and compares everything with it."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from ops.audit.answers import Rerouted
from ops.audit.findings import Check, Findings
from ops.audit.partition import audit_on_kafka, prove_on_kafka, together
from ops.audit.quiet import wait_until_quiet
from ops.audit.views import audit_views
from ops.console import AsJson, err, out, plain, progress, say, table, write_json
from ops.database import told
from ops.records import bounds, consumer, partitions
from ops.stack import resolve
from topics.catalogue import COMMANDS, TOPICS_OF
from topics.provision import topic_id
from topics.settings import Settings

WAIT_SECONDS = 30.0
#: From here on it pays to start processes for the partitions.
MANY_RECORDS = 20_000


def verify(
    *, wait: float = WAIT_SECONDS, chain: Annotated[bool, Parameter(negative="")] = False, json: AsJson = False
) -> int:
    """Read the journal again, fold it independently and compare: positions, hash chains, outcomes, audit, the lanes'
    state and every view. Exit code 1 on any difference. Nothing is changed; nobody should send commands meanwhile.

    Parameters
    ----------
    wait
        Seconds to wait until lanes and views have done all that was sent.
    chain
        Only follow the hash chains of events and audit from their beginnings, and name where each breaks first. The
        platform may be at work.
    json
        One JSON object with numbers and faults per check.
    """
    settings = resolve(Settings())
    findings, checks = (prove(settings), OF_CHAINS) if chain else (audit(settings, wait), EVERYTHING)
    if json:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(findings, checks)]
        write_json({"clean": findings.clean, "checks": rows})
    else:
        show(findings, checks, CHAINS_HOLD if chain else AGREES)
    return 0 if findings.clean else 1


def verify_all(settings: Settings, wait: float = WAIT_SECONDS) -> bool:
    """Audit, print the table, and say whether nothing differs."""
    findings = audit(settings, wait)
    show(findings)
    return findings.clean


def audit(settings: Settings, wait: float = WAIT_SECONDS) -> Findings:
    """All checks. Raises Fault where Kafka or PostgreSQL cannot be asked."""
    findings = Findings()
    with told(settings):
        with progress("Waiting until all is decided and folded"):
            lanes, views = wait_until_quiet(settings, wait)
        for check, texts in ((Check.HEADS, lanes), (Check.CHECKPOINTS, views)):
            for text in texts:
                findings.fault(check, text)
        findings.saw(Check.CHECKPOINTS)
        count, records = _size(settings)
        with progress("Verifying", count * len(TOPICS_OF) + 1) as done, _pool(count, records) as pool:
            _audit_all(settings, count, pool, findings, done)
    return findings


def prove(settings: Settings) -> Findings:
    """Follow the hash chains alone. Raises Fault where Kafka cannot be asked."""
    findings = Findings()
    count, records = _size(settings)
    with progress("Following the chains", count) as done, _pool(count, records) as pool:
        for part in as_completed([pool.submit(prove_on_kafka, settings, partition) for partition in range(count)]):
            findings.add(part.result())
            done(1)
    return findings


def _audit_all(
    settings: Settings, count: int, pool: Executor, findings: Findings, done: Callable[[float], None]
) -> None:
    views = pool.submit(_views, settings)
    realms = {name: _submitted(settings, name, count, pool) for name in TOPICS_OF}
    waiting: list[Future[Any]] = [views, *(part for parts in realms.values() for part in parts)]
    for _ in as_completed(waiting):
        done(1)
    findings.add(views.result())
    for parts in realms.values():
        findings.add(together(part.result() for part in parts))


def _submitted(settings: Settings, realm: str, count: int, pool: Executor) -> list[Future[tuple[Findings, Rerouted]]]:
    commands_id = topic_id(settings, TOPICS_OF[realm].commands.named(settings.prefix))
    return [pool.submit(audit_on_kafka, settings, partition, count, commands_id, realm) for partition in range(count)]


def _views(settings: Settings) -> Findings:
    return asyncio.run(audit_views(settings))


def _size(settings: Settings) -> tuple[int, int]:
    """Partitions, and how many records they hold together."""
    with consumer(settings) as reader:
        count = len(partitions(reader, COMMANDS.named(settings.prefix)))
        kept = [
            bounds(reader, topic.named(settings.prefix), partition)
            for topics in TOPICS_OF.values()
            for topic in (topics.commands, topics.events, topics.outcomes, topics.state)
            for partition in range(count)
        ]
    return count, sum(part.end - part.first for part in kept)


@contextmanager
def _pool(count: int, records: int) -> Iterator[Executor]:
    cores = min(count, os.cpu_count() or 1)
    if records < MANY_RECORDS or cores == 1:
        with ThreadPoolExecutor(1) as threads:
            yield threads
    else:
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as processes:
            yield processes


EVERYTHING, OF_CHAINS = tuple(Check), (Check.EVENT_POSITIONS, Check.CHAIN, Check.AUDIT)
AGREES, CHAINS_HOLD = "Everything agrees with the journal.", "All chains hold."
COLUMNS = ("check", "examined", "repeats", "faults", "first_faults")


def _rows(findings: Findings, checks: Sequence[Check]) -> list[tuple[Any, ...]]:
    return [
        (
            check,
            findings.examined[check],
            findings.repeats[check],
            findings.faults[check],
            findings.samples.get(check, []),
        )
        for check in checks
    ]


def show(findings: Findings, checks: Sequence[Check] = EVERYTHING, well: str = AGREES) -> None:
    """The table, and below it the first faults of each check."""
    rows = [
        (check, seen, again, Text(f"{faults} FAULTS", "bold red") if faults else Text("ok", "green"))
        for check, seen, again, faults, _ in _rows(findings, checks)
    ]
    out.print(table("Verification", ("check", "examined", "repeats", "result"), rows))
    for check, texts in findings.samples.items():
        say(f"{check}:", "bold")
        for text in texts:
            err.print(plain(f"  {text}", "red"), soft_wrap=True)
    say(well if findings.clean else "There are differences.", "bold")
