"""The lanes' state of one partition, read by the rule that a record counts only where its writer expected it."""

import json
from typing import Any

import ormsgpack

from ops.fire.checker.answers import Answers
from ops.fire.checker.findings import CONFLICT, LOST, Findings
from ops.fire.checker.journal import Journal
from ops.fire.checker.machines import Machine
from ops.fire.checker.raw import Raw


class State:
    """`live` has per key the last valid record."""

    def __init__(self, topic: str, partition: int, findings: Findings) -> None:
        self.live: dict[str, bytes] = {}
        self._where = f"{topic}/{partition}"
        self._head = f"~head/{partition}"
        self._findings = findings

    def take(self, record: Raw) -> None:
        """The next record of the partition."""
        key = (record.key or b"").decode()
        if not _valid(record):
            self._findings.saw("void state records")
        elif record.value is None:
            self.live.pop(key, None)
        else:
            self.live[key] = record.value

    def judge(self, journal: Journal, answers: Answers) -> None:
        """The state is what the events come to."""
        self._compare_heads(journal, answers)
        self._compare_versions(journal)
        self._compare_machines(journal)
        self._compare_chains(journal)
        self._compare_remembered(answers)

    def _compare_heads(self, journal: Journal, answers: Answers) -> None:
        """What the head has decided is published, and nothing else is."""
        head = ormsgpack.unpackb(self.live[self._head]) if self._head in self.live else {}
        for what, last in (("events", journal.positions.last), ("outcomes", answers.positions.last)):
            decided = head.get(what, 1) - 1
            if last < decided:
                self._findings.add(LOST, self._where, f"{what} are decided up to {decided}, published up to {last}")
            elif last > decided:
                self._findings.add(CONFLICT, self._where, f"{what} are published up to {last}, decided up to {decided}")

    def _compare_versions(self, journal: Journal) -> None:
        stored = {key: int(value.split(b" ", 2)[1]) for key, value in self.live.items() if _is_aggregate(key)}
        folded = {"/".join(key): version for key, version in journal.versions.items()}
        self._findings.saw("aggregates", len(folded))
        for key in sorted(stored.keys() | folded.keys()):
            if stored.get(key) != folded.get(key):
                said = f"{key} has version {stored.get(key)}, its events lead to {folded.get(key)}"
                self._findings.add(LOST, self._where, said)

    def _compare_machines(self, journal: Journal) -> None:
        for (company, id_), machine in journal.machines.items():
            record = self.live.get(f"{company}/equipment/{id_}")
            kept = json.loads(record.split(b" ", 2)[2]) if record else {}
            stored, folded = _of_state(kept), _of_fold(machine)
            if record and stored != folded:
                self._findings.add(CONFLICT, self._where, f"{company}/equipment/{id_} is {stored}, folded {folded}")
            claim = f"{company}/~claim/equipment.serial-number/{machine.row['serial_number']}"
            if self.live.get(claim) != id_.encode():
                self._findings.add(CONFLICT, self._where, f"{claim} is {self.live.get(claim)!r}, not {id_}")

    def _compare_chains(self, journal: Journal) -> None:
        for company, chain in journal.chains.items():
            if self.live.get(f"{company}/~chain") != chain:
                self._findings.add(CONFLICT, self._where, f"{company}/~chain is not the chain of the events")

    def _compare_remembered(self, answers: Answers) -> None:
        """A remembered command has the answer that was published."""
        for (company, id_), answer in answers.first.items():
            record = self.live.get(f"{company}/~command/{id_}")
            if record is None:
                continue  # forgotten: a lane keeps so many
            fingerprint, _, status, code, _, version, first, last, _ = json.loads(record)
            if (status, code, version, first, last, fingerprint) != answer.said:
                self._findings.add(CONFLICT, self._where, f"{company}/~command/{id_} is not what was answered")


def _valid(record: Raw) -> bool:
    try:
        return record.offset == int(record.header["expect"]) + int(record.header["index"])
    except (KeyError, ValueError):
        return False


def _is_aggregate(key: str) -> bool:
    parts = key.split("/", 2)
    return len(parts) == 3 and not parts[0].startswith("~") and not parts[1].startswith("~")


def _of_state(kept: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": kept.get("name"),
        "serial_number": kept.get("serial_number"),
        "category_id": kept.get("category_id"),
        "place": kept.get("place"),
        "assignee": (kept.get("assignee") or {}).get("id"),
        "broken": kept.get("breakdown") is not None,
        "retired_on": kept.get("retired_on"),
        "open_jobs": sorted(kept.get("open_jobs", {})),
    }


def _of_fold(machine: Machine) -> dict[str, Any]:
    row = machine.row
    return {
        **{name: row[name] for name in ("name", "serial_number", "category_id", "place")},
        "assignee": row["assignee_id"],
        "broken": row["broken_down_since"] is not None,
        "retired_on": row["retired_on"].isoformat() if row["retired_on"] else None,
        "open_jobs": sorted(id_ for id_, job in machine.jobs.items() if job.state in ("OPEN", "STARTED")),
    }
