"""`python -m tests.recorded.record`: write down what this build decides, as the record of its version.

One case for each sample of a command, so that every command type is in it, and one for each company of the example
fleet, whose log starts from nothing. Nothing depends on when or where it runs.
"""

import importlib.metadata
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from unittest.mock import patch
from uuid import NAMESPACE_URL, uuid5

from domain import REALMS
from domain.decider import Actor
from domain.platform import is_own
from ops import fleet
from tests.domain.samples import FULL, about, rule, story_for
from tests.domain.scenario import NOW, RULES, Story, realm_of
from tests.examples.scripts import load
from tests.recorded.recording import HERE, PREFIX, ROOT_KEY, Case, decided, write
from tests.views.journal import Journal
from topics.catalogue import COMMANDS, TOPICS_OF
from topics.cloudevents import Headers, Malformed, Record
from topics.messages import CommandMessage, read_command, write_command
from topics.signing import ROOT, ed25519_signer

DAY_OF_THE_FLEET = datetime(2026, 11, 20, 12, tzinfo=UTC)
MACHINES = 12
SENT_AT = b"2026-11-20T11:59:59Z"


def main() -> None:
    path = HERE / f"{importlib.metadata.version('bitcorp-erp')}.jsonl.gz"
    if path.exists() and "--again" not in sys.argv:
        sys.exit(f"{path.name} is there: what a release has decided is not written again. Raise the version first.")
    cases = [case._replace(sent=decided(case).sent) for case in (*samples(), *fleets())]
    missing = set(RULES) - {read_command(record).type for case in cases for record in case.commands if _is_read(record)}
    if missing:
        sys.exit(f"no case has {sorted(missing)}")
    write(path, cases)
    print(f"{path.relative_to(HERE.parents[1])}: {len(cases)} cases, {sum(len(c.commands) for c in cases)} commands")


def samples() -> Iterator[Case]:
    """Each command with every field filled, sent twice, after the past in which it is right."""
    for permission in FULL:
        story, actor = story_for(permission)
        realm = realm_of(rule(permission).decider).name
        command = CommandMessage(
            id=str(uuid5(NAMESPACE_URL, f"recorded:{permission}")),
            type=rule(permission).type,
            company_id=story.company,
            aggregate=rule(permission).decider.name,
            aggregate_id=about(permission),
            actor=Actor.parse(actor),
            data=rule(permission).command.model_validate(FULL[permission], strict=False).model_dump_json().encode(),
        )
        if is_own(story.company):
            command = ed25519_signer(ROOT, ROOT_KEY)(command)
        yield Case(permission, realm, journal(story, realm), [arrived(command, realm, n) for n in range(2)])


def journal(story: Story, realm: str) -> list[Record]:
    written = Journal(topic=TOPICS_OF[realm].events.named(PREFIX))
    for group in story.groups:
        written.tell(*group, company=story.company)
    return written.records


def arrived(command: CommandMessage, realm: str, offset: int) -> Record:
    key, value, headers = write_command(command)
    moment = int(NOW.timestamp() * 1000) + offset
    return Record(TOPICS_OF[realm].commands.named(PREFIX), 0, key, value, timeless(headers), offset, moment)


def timeless(headers: Headers) -> Headers:
    """Without the time at which this ran, by which nothing is decided."""
    return tuple((name, SENT_AT if name == "ce_time" else text) for name, text in headers)


class Then(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return DAY_OF_THE_FLEET


def fleets() -> Iterator[Case]:
    """The commands of each company of the fleet, but of a few of its machines alone."""
    upstream = load("upstream.py")
    with patch.object(upstream, "today", DAY_OF_THE_FLEET.date), patch.object(upstream, "datetime", Then):
        messages = [m for folder in (fleet.PAST, fleet.TODAY) for file in upstream.messages(folder) for m in file]
    for company in sorted({message.key for message in messages}):
        own = (message for message in messages if message.key == company)
        wanted = few(Record(COMMANDS.named(PREFIX), 0, m.key, m.value, tuple(m.headers)) for m in own)
        start = int(DAY_OF_THE_FLEET.timestamp() * 1000)
        log = [record._replace(offset=n, timestamp=start + n) for n, record in enumerate(wanted)]
        yield Case(f"fleet {company.decode('utf-8', 'replace')}", next(iter(REALMS)), [], log)


def few(records: Iterable[Record]) -> Iterator[Record]:
    """All about the company itself and its people, and of machines the first ones that are heard of."""
    seen: Counter[str] = Counter()
    for record in records:
        subject = dict(record.headers).get("ce_subject", b"") or b""
        aggregate, _, name = subject.decode("utf-8", "replace").partition("/")
        if aggregate != "equipment" or name in seen or len(seen) < MACHINES:
            seen.update([name] if aggregate == "equipment" else [])
            yield record


def _is_read(record: Record) -> bool:
    try:
        return bool(read_command(record))
    except Malformed:
        return False


if __name__ == "__main__":
    main()
