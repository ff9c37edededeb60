"""The independent checker of `make fire`: what was sent, against what topics and views hold.

It has a consumer, a fold and questions to PostgreSQL of its own, and knows no code of the product but its settings, so
that it cannot share a mistake with what it judges. What it may rely on is what is published: the messages' form, and
the reader's rule of `docs/tour.md`: one number per partition, the same again is ignored.
"""

import time
from pathlib import Path

from ops.fire.checker.findings import Finding, Findings
from ops.fire.checker.partitions import read_realms
from ops.fire.checker.rows import compare_rows
from ops.fire.checker.sends import Send, compare_sends, read_sends
from topics.settings import Settings

__all__ = ["Finding", "Findings", "Send", "check"]

#: The business, and the realm of credentials, by what their topics have before their names.
REALMS = BUSINESS, CREDENTIALS = "", "credentials."
WAIT_SECONDS, PAUSE_SECONDS = 60.0, 2.0


def check(settings: Settings, sent: Path, wait: float = WAIT_SECONDS) -> Findings:
    """What is wrong, after `wait` seconds at most for what is only not there yet.

    `sent` names a file with one JSON object a line for each send: see `ops.fire.checker.sends.Send`. Raises what the
    clients of Kafka and PostgreSQL raise where these cannot be asked.
    """
    sends = read_sends(sent)
    deadline = time.monotonic() + wait
    while not (findings := look(settings, sends)).clean and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    return findings


def look(settings: Settings, sends: list[Send]) -> Findings:
    """What is wrong now; what is still under way counts as wrong."""
    findings = Findings()
    realms = read_realms(settings, REALMS, findings)
    parts, business = [part for parts in realms.values() for part in parts], realms[BUSINESS]
    for part in parts:
        part.judge(findings)
    compare_sends(sends, parts, business, findings)
    compare_rows(settings, [part.journal for part in business], [part.answers for part in business], findings)
    return findings
