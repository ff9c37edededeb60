"""The fold of machines: from events to the rows that people are to see."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ops.fire.checker.raw import Raw

Data = dict[str, Any]
MachineKey = tuple[str, str]

PAPERS = ("name", "serial_number", "category_id", "manufacturer", "model", "manufacturer_serial")
#: What nobody has said of a new machine.
BLANK = (
    *("place", "assignee_kind", "assignee_id", "assigned_at", "expected_return_on", "next_due_on"),
    *("broken_down_since", "last_maintained_on", "for_sale_since"),
    *("retired_on", "retired_by", "retirement_reason", "proceeds", "proceeds_currency"),
)


@dataclass
class Job:
    """A maintenance job, as far as its machine's row tells of it."""

    state: str = "OPEN"
    scheduled_on: date | None = None
    completed_on: date | None = None


@dataclass
class Machine:
    """The row of a machine, by column, and its jobs."""

    row: Data
    jobs: dict[str, Job] = field(default_factory=dict)

    def change(self, name: str, data: Data, at: datetime) -> None:
        """What an event of this name changes beside the version."""
        if name in CHANGES:
            self.row |= CHANGES[name](data, at)
        if name in JOBS:
            JOBS[name](self.jobs, data)

    def shown(self) -> Data:
        """All columns, those that are derived included."""
        working = [job for job in self.jobs.values() if job.state in ("OPEN", "STARTED")]
        derived = {
            "next_due_on": min((job.scheduled_on for job in working if job.scheduled_on), default=None),
            "in_maintenance": any(job.state == "STARTED" for job in working),
            "last_maintained_on": max((it.completed_on for it in self.jobs.values() if it.completed_on), default=None),
        }
        row = self.row | derived
        return row | {"status": _status(row)}


def _status(row: Data) -> str:
    if row["retired_on"]:
        return "RETIRED"
    if row["in_maintenance"] or row["broken_down_since"]:
        return "IN_MAINTENANCE"
    return "MAINTENANCE_SCHEDULED" if row["next_due_on"] else "ACTIVE"


class Machines(dict[MachineKey, Machine]):
    """By company and id."""

    def take(self, record: Raw, data: Data) -> None:
        """One event; those of other things leave machines as they are."""
        aggregate, _, id_ = record.said("subject").partition("/")
        if aggregate != "equipment" or not data:
            return
        key, name = (record.company, id_), record.said("type").split(".")[-2]
        at = datetime.fromisoformat(record.said("time"))
        if name == "equipment-created":
            self[key] = Machine(_created(key, data) | {"created_at": at})
        elif name == "equipment-voided":
            self.pop(key, None)
        if key in self:
            self[key].row |= {"version": record.number("aggregateversion"), "updated_at": at}
            self[key].change(name, data, at)


def _created(key: MachineKey, data: Data) -> Data:
    amount, currency = _money(data.get("purchase_price"))
    return dict.fromkeys(BLANK) | {
        "company_id": key[0],
        "equipment_id": key[1],
        **{name: data.get(name) for name in PAPERS},
        "purchased_on": _day(data.get("purchased_on")),
        "in_service_on": _day(data["in_service_on"]),
        "purchase_price": amount,
        "purchase_currency": currency,
    }


def _assigned(data: Data, at: datetime) -> Data:
    return {
        "assignee_kind": data["assignee"]["kind"],
        "assignee_id": data["assignee"]["id"],
        "assigned_at": _moment(data, at),
        "expected_return_on": _day(data.get("expected_return")),
    }


def _retired(data: Data, _: datetime) -> Data:
    amount, currency = _money(data.get("proceeds"))
    return {
        "retired_on": _day(data["retired_date"]),
        "retired_by": data["retired_by"],
        "retirement_reason": data["reason"],
        "proceeds": amount,
        "proceeds_currency": currency,
    }


#: Event -> what it changes in the machine's row.
CHANGES: dict[str, Callable[[Data, datetime], Data]] = {
    "equipment-renamed": lambda data, at: {"name": data["name"]},
    "equipment-moved": lambda data, at: {"place": data["place"]},
    "equipment-broke-down": lambda data, at: {"broken_down_since": _moment(data, at)},
    "equipment-repaired": lambda data, at: {"broken_down_since": None},
    "breakdown-abandoned": lambda data, at: {"broken_down_since": None},
    "equipment-assigned": _assigned,
    "equipment-returned": lambda data, at: dict.fromkeys(BLANK[1:5]),
    "equipment-held-for-sale": lambda data, at: {"for_sale_since": _day(data["held_on"])},
    "equipment-withdrawn-from-sale": lambda data, at: {"for_sale_since": None},
    "equipment-retired": _retired,
}


def _job(jobs: dict[str, Job], data: Data) -> Job:
    """The event's job; work may be recorded that was never scheduled."""
    return jobs.setdefault(data["job_id"], Job())


def _scheduled(jobs: dict[str, Job], data: Data) -> None:
    jobs.setdefault(data["job_id"], Job(scheduled_on=_day(data["scheduled_date"])))


def _rescheduled(jobs: dict[str, Job], data: Data) -> None:
    _job(jobs, data).scheduled_on = _day(data["scheduled_date"])


def _started(jobs: dict[str, Job], data: Data) -> None:
    _job(jobs, data).state = "STARTED"


def _completed(jobs: dict[str, Job], data: Data) -> None:
    job = _job(jobs, data)
    job.state, job.completed_on = "COMPLETED", _day(data["completed_date"])


def _cancelled(jobs: dict[str, Job], data: Data) -> None:
    _job(jobs, data).state = "CANCELLED"


#: Event -> what it changes in the machine's jobs.
JOBS: dict[str, Callable[[dict[str, Job], Data], None]] = {
    "maintenance-scheduled": _scheduled,
    "maintenance-rescheduled": _rescheduled,
    "maintenance-started": _started,
    "maintenance-completed": _completed,
    "maintenance-cancelled": _cancelled,
}


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _moment(data: Data, at: datetime) -> datetime:
    """When it was true, or else when it was recorded."""
    return datetime.fromisoformat(data["effective_at"]) if "effective_at" in data else at


def _money(money: Data | None) -> tuple[Decimal | None, str | None]:
    return (Decimal(money["amount"]), money["currency"]) if money else (None, None)
