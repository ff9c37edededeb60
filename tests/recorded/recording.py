"""What a release decided, kept for ever: journals, the commands that came after them, and all that followed.

A file of a release has one JSON object a line: first journals by name, then cases. In a case, each command has the
records that its lane sent: events, outcomes, dead letters. The records of a release are never written again.
"""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.decision import Draft, Place
from agents.proof import Proof
from agents.refold import fold_journal
from agents.state import Head
from domain import REALMS
from topics.catalogue import TOPICS_OF
from topics.cloudevents import Record
from topics.keys import base64url

HERE = Path(__file__).parent
PREFIX = "erp"
#: The root that admits processes; it is nobody's outside these files.
ROOT_KEY = Ed25519PrivateKey.from_private_bytes(b"the root of recorded commands...")
PROOF = Proof(root=base64url(ROOT_KEY.public_key().public_bytes_raw()))


class Case(NamedTuple):
    """Commands of one partition after a journal, and what each led to."""

    name: str
    realm: str
    journal: Sequence[Record]
    commands: Sequence[Record]
    sent: Sequence[Sequence[Record]] = ()

    @property
    def place(self) -> Place:
        """The only partition, so that every company is at home there."""
        return Place(PREFIX, 0, 1, REALMS[self.realm], PROOF)


class Decided(NamedTuple):
    """What each command leads to, and the state after all of them."""

    sent: list[list[Record]]
    state: dict[str, bytes]


def decided(case: Case) -> Decided:
    """As a lane of this build decides it, one command a commit."""
    state = {key: value for key, value in fold_journal(case.journal, case.place.realm).items() if value is not None}
    head = Head("recorded", events=len(case.journal) + 1)
    sent = []
    for command in case.commands:
        draft = Draft(case.place, head, state.get)
        draft.take(command)
        commit = draft.commit()
        head = commit.head
        sent.append(commit.sends)
        for key, value in commit.changes.items():
            state.pop(key, None) if value is None else state.update({key: value})
    return Decided(sent, state)


def events_of(case: Case) -> list[Record]:
    """The journal as it was after the case."""
    topic = TOPICS_OF[case.realm].events.named(PREFIX)
    return [*case.journal, *(record for records in case.sent for record in records if record.topic == topic)]


def releases() -> list[Path]:
    return sorted(HERE.glob("*.jsonl.gz"))


def write(path: Path, cases: Sequence[Case]) -> None:
    """Journals that several cases share are written once."""
    journals: dict[str, str] = {}
    lines = []
    for case in cases:
        journal = journals.setdefault(_text(list(map(_plain, case.journal))), f"journal-{len(journals)}")
        sent = [list(map(_plain, records)) for records in case.sent]
        told = {"journal": journal, "commands": list(map(_plain, case.commands)), "sent": sent}
        lines.append(_text({"case": case.name, "realm": case.realm, **told}))
    named = [f'{{"name":"{name}","records":{records}}}' for records, name in journals.items()]
    path.write_bytes(gzip.compress("\n".join([*named, *lines, ""]).encode(), mtime=0))


def read(path: Path) -> Iterator[Case]:
    journals: dict[str, list[Record]] = {}
    for line in gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]:
        told = json.loads(line)
        if "name" in told:
            journals[told["name"]] = list(map(_record, told["records"]))
        else:
            sent = [list(map(_record, records)) for records in told["sent"]]
            commands = list(map(_record, told["commands"]))
            yield Case(told["case"], told["realm"], journals[told["journal"]], commands, sent)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(record: Record) -> list[Any]:
    headers = [[name, _shown(value)] for name, value in record.headers]
    return [record.topic, _shown(record.key), _shown(record.value), headers, record.offset, record.timestamp]


def _record(plain: list[Any]) -> Record:
    topic, key, value, headers, offset, timestamp = plain
    given = tuple((name, _bytes(text)) for name, text in headers)
    return Record(topic, 0, _bytes(key), _bytes(value), given, offset, timestamp)


def _shown(value: bytes | None) -> Any:
    """Text where it is text, else base64 in a list."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return [b64encode(value or b"").decode()]


def _bytes(shown: Any) -> bytes | None:
    if shown is None:
        return None
    return b64decode(shown[0]) if isinstance(shown, list) else str(shown).encode()
