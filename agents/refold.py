"""State folded again from the journal: for records of an older state version, and for `bitcorp state rebuild`."""

from collections.abc import Iterable, Mapping

from agents.log import LaneStopped
from domain import BUSINESS
from domain.engine import Book, chain_key, folded_under, rosters_with, state_version_of
from domain.realm import Realm
from topics.cloudevents import Record
from topics.messages import read_event


def fold_journal(journal: Iterable[Record], realm: Realm = BUSINESS) -> dict[str, bytes | None]:
    """Aggregates, claims and chain values as the events of one partition, in order, make them."""
    book = Book(lambda key: None, realm)
    for record in journal:
        fact = read_event(record)
        book.fold(fact.company_id, [fact.event])
        book.put(chain_key(fact.company_id), bytes.fromhex(fact.chain))
    return book.changes


def outdated(records: Mapping[str, bytes], realm: Realm = BUSINESS) -> bool:
    """Whether any record has an older state version, or lacks a roster that was not kept then. Raises LaneStopped for
    a newer version: this build is too old."""
    older = False
    for key, record in records.items():
        folded = folded_under(key, realm)
        if folded is None:
            continue
        version = state_version_of(record)
        if version > folded.state_version:
            raise LaneStopped(
                f"{key} has state version {version}, this build knows {folded.state_version}: start a newer build"
            )
        lacks = any(roster not in records for roster in rosters_with(key, realm))
        older = older or version < folded.state_version or lacks
    return older


def refold(journal: Iterable[Record], records: Mapping[str, bytes], realm: Realm = BUSINESS) -> dict[str, bytes | None]:
    """Changes that bring the records to what the journal says with today's `evolve`."""
    folded = fold_journal(journal, realm)
    return {key: value for key, value in folded.items() if records.get(key) != value}
