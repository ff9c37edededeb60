"""The events of one partition as a reader takes them: what each command led to, chains, versions, machines."""

import json
from collections import defaultdict
from hashlib import sha256
from typing import Any

from ops.fire.checker.findings import CONFLICT, DOUBLED, LOST, Findings
from ops.fire.checker.machines import Machines
from ops.fire.checker.positions import Positions
from ops.fire.checker.raw import Raw

NO_CHAIN = bytes(32)
#: What an event's chain value does not cover.
UNCHAINED = ("ce_chain", "ce_specversion")
CommandKey = tuple[str, str]


class Journal:
    """`versions` by company, aggregate and id; `caused` has the positions of each command's events."""

    def __init__(self, findings: Findings) -> None:
        self.positions = Positions(findings)
        self.versions: dict[tuple[str, str, str], int] = {}
        self.chains: dict[str, bytes] = {}
        self.caused: dict[CommandKey, list[int]] = defaultdict(list)
        self.machines = Machines()
        self._findings = findings

    def take(self, record: Raw) -> None:
        """The next record of the partition."""
        if not self.positions.take(record):
            return
        self.caused[record.company, record.said("causationid")].append(record.number("sequence"))
        self._link(record)
        self._count(record)
        try:
            self.machines.take(record, data_of(record))
        except (KeyError, TypeError, ValueError) as fault:
            self._findings.add(CONFLICT, record.where, f"it says nothing of its machine that can be read: {fault!r}")

    @property
    def events(self) -> int:
        return sum(map(len, self.caused.values()))

    def _link(self, record: Raw) -> None:
        """Each event of a company holds the hash of the one before it."""
        lines = "".join(
            f"{name.removeprefix('ce_')}:{text}\n"
            for name, text in sorted(record.header.items())
            if name.startswith("ce_") and name not in UNCHAINED
        )
        before = self.chains.get(record.company, NO_CHAIN)
        linked = sha256(before + lines.encode() + (record.value or b"")).digest()
        if record.said("chain") != linked.hex():
            self._findings.add(CONFLICT, record.where, f"its chain value is not {linked.hex()}, as its content says")
        self.chains[record.company] = linked

    def _count(self, record: Raw) -> None:
        aggregate, _, id_ = record.said("subject").partition("/")
        key = (record.company, aggregate, id_)
        before, version = self.versions.get(key, 0), record.number("aggregateversion")
        if version <= before:
            self._findings.add(DOUBLED, record.where, f"version {version} of {'/'.join(key)} was there already")
        elif version > before + 1:
            self._findings.add(LOST, record.where, f"version {before + 1} of {'/'.join(key)} is not there")
        self.versions[key] = version


def data_of(record: Raw) -> dict[str, Any]:
    """What a record of ours says; nothing where that is no JSON object."""
    try:
        data = json.loads(record.value or b"")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
