"""Write the fleet's data files anew from `source/`, the same bytes every time: python examples/fleet/make.py [folder]

What each row must lead to is known by construction here, from the story alone: nothing of the product is asked.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, TypeVar

HERE = Path(__file__).parent
SEED = 20261031
FIRST_DAY, LAST_DAY = date(2023, 11, 1), date(2026, 10, 31)  # of the past that is recorded late
LAST_PURCHASE = date(2026, 9, 30)
PAST, TODAY = "1-past", "2-today"
OPERATOR, HELPDESK = "operator:onboarding", "operator:helpdesk"
STRANGERS = ("atlas-haulage", "pampa-cranes", "pacific-haulage")  # companies that nobody opened
WORK_DONE = ("PREVENTIVE",) * 14 + ("CORRECTIVE",) * 3 + ("INSPECTION",) * 2 + ("CALIBRATION",)
WORK_TO_COME = ("PREVENTIVE",) * 7 + ("INSPECTION",) * 2 + ("CALIBRATION",)
YARD: dict[str, Any] = {"assignee.kind": "place", "assignee.id": "yard"}

Row = dict[str, Any]
T = TypeVar("T")
dice = Random(SEED)  # noqa: S311


def chance() -> float:
    """Only `random()` is the same in every version of Python."""
    return dice.random()


def pick(things: Sequence[T]) -> T:
    return things[int(chance() * len(things))]


def between(low: int, high: int) -> int:
    return low + int(chance() * (high - low + 1))


def some(things: Iterable[T], number: int) -> list[T]:
    """As many different ones, in their order."""
    pool = list(enumerate(things))
    chosen = [pool.pop(int(chance() * len(pool))) for _ in range(min(number, len(pool)))]
    return [thing for _, thing in sorted(chosen, key=lambda entry: entry[0])]


def source(name: str) -> list[dict[str, str]]:
    with (HERE / "source" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- who and what there is ------------------------------------------------------------------------------------------


@dataclass
class Machine:
    """A machine with what the story has made of it so far."""

    id: str
    company: "Company"
    category: dict[str, str]
    model: dict[str, str]
    purchased: date
    in_service: date
    serial: str
    name: str
    version: int = 1
    jobs: dict[str, str] = field(default_factory=dict)  # open ones with their type
    started: set[str] = field(default_factory=set)
    assigned: bool = False
    retired: bool = False
    renamed_astray: bool = False  # nobody knows when it is decided

    @property
    def idle(self) -> bool:
        return not (self.jobs or self.assigned or self.retired)

    @property
    def by_manager(self) -> Row:
        """The beginning of any command of a manager about it."""
        return {"company": self.company.id, "actor": self.company.manager, "equipment_id": self.id}


@dataclass
class Company:
    facts: dict[str, str]
    people: list[dict[str, str]]
    machines: list[Machine] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.facts["company"]

    @property
    def notice(self) -> int:
        return int(self.facts["minimum_notice_days"])

    @property
    def intervals(self) -> dict[str, str]:
        """Category -> days after which a service follows a service."""
        return dict(entry.split("=") for entry in self.facts["intervals"].split())

    @property
    def manager(self) -> str:
        return self.actor("manager")

    @property
    def technician(self) -> str:
        return pick(self.users("technician"))

    def actor(self, *roles: str) -> str:
        return f"user:{pick(self.users(pick(roles)))}"

    def users(self, role: str) -> list[str]:
        return [person["user"] for person in self.people if person["role"] == role]

    def money(self, usd: float, step: float, name: str) -> Row:
        amount = round(usd * float(self.facts["per_usd"]) / step) * step
        return {f"{name}.amount": f"{amount:.2f}", f"{name}.currency": self.facts["currency"]}

    def moment(self, day: date) -> str:
        """A minute of the working day in the company's zone, as UTC."""
        return f"{day}T{int(self.facts['first_hour_utc']) + between(0, 8):02}:{pick((0, 10, 20, 30, 45)):02}:00Z"


class Fleet:
    """Three companies with all that is theirs."""

    def __init__(self) -> None:
        people = source("people")
        self.companies = [
            Company(facts, [person for person in people if person["company"] == facts["company"]])
            for facts in source("companies")
        ]
        self.andes, self.nordkran, self.deccan = self.companies
        self.categories = {(entry["company"], entry["category"]): entry for entry in source("categories")}

    @cached_property
    def by_id(self) -> dict[str, Company]:
        return {company.id: company for company in self.companies}

    def machines(self, wanted: Callable[[Machine], bool] = lambda machine: True) -> list[Machine]:
        return [machine for company in self.companies for machine in company.machines if wanted(machine)]

    def open_jobs(self) -> list[tuple[Machine, str]]:
        """Jobs that were scheduled by a command; those that follow by policy have ids that only the product knows."""
        return [(machine, job) for machine in self.machines() for job in machine.jobs if not job.startswith("after ")]

    def somebody(self, *roles: str) -> Callable[[Row], str]:
        """An actor with one of the roles in the row's company."""
        return lambda row: self.by_id[row["company"]].actor(*roles)


class Table:
    """One file: commands of one type in the order in which they are published, wrong ones between right ones."""

    def __init__(self, phase: str, number: int, kind: str, fields: str) -> None:
        self.path = Path(phase) / f"{number:02}-{kind}.csv"
        self.fields = fields.split()
        self._rows: list[tuple[float, Row]] = []
        self._leaned_on: set[int] = set()

    def add(self, company: str, actor: str, expect: str = "", how: str = "", **values: Any) -> None:
        """A command at the end."""
        self._put(len(self._rows) + 0.0, company, actor, expect, how, values)

    def put_in(self, expect: str, base: Row, how: str = "", **changes: Any) -> None:
        """A command like `base` (of this table or not) but for the changes, at some place behind it."""
        self._leaned_on.add(id(base))
        after = next((place for place, row in self._rows if row is base), -0.5) + 0.5
        place = after + chance() * (len(self._rows) - after)
        values = {name: value for name, value in base.items() if name not in ("how", "expect")} | changes
        self._put(place, values.pop("company"), values.pop("actor"), expect, how, values)

    def _put(self, place: float, company: str, actor: str, expect: str, how: str, values: Row) -> None:
        unknown = set(values) - {name.partition(":")[0] for name in self.fields} - {"same"}
        if unknown:
            raise KeyError(f"{self.path} has no column {sorted(unknown)}")
        self._rows.append((place, {"company": company, "actor": actor, "how": how, "expect": expect} | values))

    @property
    def rows(self) -> list[Row]:
        return [row for _, row in sorted(self._rows, key=lambda entry: entry[0])]

    @property
    def right(self) -> list[Row]:
        return [row for row in self.rows if not row["expect"] and not row["how"]]

    @property
    def lonely(self) -> list[Row]:
        """Right ones that no other command of the table refers to."""
        return [row for row in self.right if id(row) not in self._leaned_on]

    def of(self, company: Company) -> list[Row]:
        return [row for row in self.right if row["company"] == company.id]

    def write(self, folder: Path, numbers: Iterator[int]) -> None:
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["id", "company", "actor", *self.fields, "how", "expect"]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in self.rows:
                original = row.pop("same", None)  # sent under the id of another command
                row["id"] = original["id"] if original else f"c{next(numbers):05}"
                writer.writerow([row.get(name.partition(":")[0], "") for name in columns])


class Wrong:
    """Puts wrong commands into a table: right ones, changed. What `fresh` gives keeps them from being repeats.

    A change may be a function of the right row.
    """

    def __init__(self, table: Table, fresh: Callable[[], Row] = dict) -> None:
        self.table = table
        self.right = table.right
        self.fresh = fresh

    def __call__(
        self, number: int, expect: str, how: str = "", *, among: list[Row] | None = None, **changes: Any
    ) -> None:
        for row in some(self.right if among is None else among, number):
            told = {name: value(row) if callable(value) else value for name, value in changes.items()}
            self.table.put_in(expect, row, how, **(self.fresh() | told))

    def invalid(self, *changes: Row) -> None:
        for change in changes:
            self(1, "invalid", **change)

    def unreadable(self, malformed: int, unknown_type: int, no_id: int) -> None:
        self(malformed, "invalid dead-letter", "malformed")
        self(unknown_type, "invalid dead-letter", "unknown-type")
        self(no_id, "dead-letter", "no-id")


def itself(row: Row) -> Row:
    return row


# --- the past -------------------------------------------------------------------------------------------------------


def companies(fleet: Fleet) -> Table:
    fields = "company_id name time_zone currency tax_id.country tax_id.number admin.user_id admin.name admin.email"
    table = Table(PAST, 1, "company.create-company", fields)
    for company in fleet.companies:
        facts, boss = company.facts, company.people[0]
        table.add(
            company.id,
            OPERATOR,
            company_id=company.id,
            **{name: facts[name] for name in ("name", "time_zone", "currency")},
            **{"tax_id.country": facts["tax_country"], "tax_id.number": facts["tax_number"]},
            **{"admin.user_id": boss["user"], "admin.name": boss["name"], "admin.email": email(boss)},
        )
    another: Row = {"company": STRANGERS[1], "company_id": STRANGERS[1]}
    wrong = Wrong(table)
    wrong(1, "company-exists", among=table.of(fleet.andes))
    wrong(1, "company-exists", among=table.of(fleet.nordkran), name="Nordkran Zweigstelle Kiel")
    wrong(1, "invalid", among=table.of(fleet.nordkran), **another, **{"tax_id.number": "999999904"})
    wrong.invalid(another | {"time_zone": "Europe/Kiel"}, another | {"currency": "PEZ"})
    wrong(1, "forbidden", **another, actor="user:mquispe")
    return table


def email(person: dict[str, str]) -> str:
    return f"{person['user']}@{person['company']}.example"


def users(fleet: Fleet) -> Table:
    table = Table(PAST, 2, "user.add-user", "user_id name email roles:list")
    for company in fleet.companies:
        boss = company.actor("admin")
        for person in company.people[1:]:
            values = {"user_id": person["user"], "name": person["name"], "email": email(person)}
            table.add(company.id, boss, roles=person["role"], **values)
    newcomer: Row = {"user_id": "newcomer", "name": "New Comer", "email": "newcomer@mail.example"}
    wrong = Wrong(table)
    for company in fleet.companies:
        role = {role: [row for row in table.of(company) if row["roles"] == role] for role in ("manager", "technician")}
        everyone = table.of(company)
        wrong(2, "email-taken", among=everyone, user_id="other", email=lambda row: row["email"].upper())
        wrong(1, "user-exists", among=everyone, email=lambda row: f"other.{row['email']}")
        wrong(1, "invalid", among=everyone, user_id="n.n", email="n.n.example")
        himself: Row = {"actor": lambda row: f"user:{row['user_id']}"}
        wrong(1, "only-admins-add-admins", among=role["manager"], **newcomer | himself, roles="admin")
        wrong(1, "forbidden", among=role["technician"], **newcomer | himself)
        wrong(1, "actor-unknown", among=everyone, **newcomer, actor="user:nobody")
    wrong(1, "forbidden", **newcomer, actor=HELPDESK)
    return table


def policies(fleet: Fleet) -> Table:
    limits = "policy.minimum_notice_days:int policy.maximum_open_jobs:int"
    fields = f"company_id {limits} policy.types_for_managers:list policy.intervals:json"
    table = Table(PAST, 3, "company.update-maintenance-policy", fields)
    for company in fleet.companies:
        intervals = ", ".join(f'{{"category_id": "{k}", "days": {v}}}' for k, v in company.intervals.items())
        same = ("minimum_notice_days", "maximum_open_jobs", "types_for_managers")
        policy = {f"policy.{name}": company.facts[name] for name in same} | {"policy.intervals": f"[{intervals}]"}
        table.add(company.id, company.actor("admin"), company_id=company.id, **policy)
    wrong = Wrong(table)
    wrong(3, "forbidden", actor=fleet.somebody("manager"))
    wrong(3, "nothing")
    wrong.invalid({"policy.maximum_open_jobs": "0"})
    return table


def categories(fleet: Fleet) -> Table:
    table = Table(PAST, 4, "category.define-category", "category_id name")
    for company in fleet.companies:
        for entry in fleet.categories.values():
            if entry["company"] == company.id:
                table.add(company.id, company.manager, category_id=entry["category"], name=entry["name"])
    wrong = Wrong(table)
    wrong(3, "category-name-taken", category_id="another", name=lambda row: row["name"].upper())
    wrong(3, "category-exists", name=lambda row: f"{row['name']} 2")
    wrong(3, "forbidden", actor=fleet.somebody("viewer"), category_id="sundries", name="Sundries")
    return table


def machines(fleet: Fleet) -> Table:
    fields = "equipment_id name serial_number category_id manufacturer model manufacturer_serial"
    price = "purchase_price.amount purchase_price.currency"
    table = Table(PAST, 5, "equipment.create-equipment", f"{fields} purchased_on in_service_on {price}")
    for machine in sorted(bought(fleet), key=lambda machine: (machine.purchased, machine.serial)):
        company, model = machine.company, machine.model
        company.machines.append(machine)
        table.add(
            company.id,
            company.manager,
            equipment_id=machine.id,
            name=machine.name,
            serial_number=machine.serial,
            category_id=model["category"],
            manufacturer=model["make"],
            model=model["model"],
            manufacturer_serial=serial_of_maker(model["serial"]),
            purchased_on=machine.purchased,
            in_service_on=machine.in_service,
            **company.money(float(model["price_usd"]) * (93 + chance() * 14) / 100, 100, "purchase_price"),
        )
    wrong_machines(fleet, table)
    return table


def bought(fleet: Fleet) -> Iterator[Machine]:
    """All machines: a number per category, an asset tag with the year of purchase."""
    numbers: dict[tuple[str, str], Iterator[int]] = {key: count(1) for key in fleet.categories}
    for model in source("models"):
        key = model["company"], model["category"]
        category, company = fleet.categories[key], fleet.by_id[model["company"]]
        for _ in range(int(model["machines"])):
            number, code = next(numbers[key]), category["code"]
            purchased = LAST_PURCHASE - timedelta(days=int(chance() ** 1.4 * 365 * 13))
            yield Machine(
                id=f"{code.lower()}-{number:04}",
                company=company,
                category=category,
                model=model,
                purchased=purchased,
                in_service=purchased + timedelta(days=between(2, 30)),
                serial=f"EQ-{purchased.year}-{code}-{number:06}",
                name=f"{category['noun']} {model['model']} {company.facts['number_word']} {number}",
            )


def serial_of_maker(pattern: str) -> str:
    """A serial number in the maker's own form: # stands for a digit, @ for a letter."""
    drawn = {"#": "0123456789", "@": "ABCDEFGHJKLMNPRSTUVWXYZ"}
    return "".join(pick(drawn[sign]) if sign in drawn else sign for sign in pattern)


def wrong_machines(fleet: Fleet, table: Table) -> None:
    wrong, again = Wrong(table, new_tag), Wrong(table)
    wrong(20, "serial-number-taken", serial_number=lambda row: row["serial_number"])
    wrong(8, "equipment-exists", equipment_id=lambda row: row["equipment_id"])
    wrong(8, "category-unknown", category_id="submarines")
    wrong(6, "service-before-purchase", in_service_on="2011-03-01")
    wrong(8, "forbidden", actor=fleet.somebody("technician", "viewer"))
    wrong(6, "actor-unknown", actor=lambda _: pick(("user:nobody", "user:j.doe", "system:importer")))
    wrong(6, "company-unknown", company=lambda _: pick(STRANGERS))
    wrong(6, "invalid", "extra-field")
    wrong(3, "invalid", "subject:ex-0001")
    wrong(2, "invalid dead-letter", equipment_id="zz 17")
    wrong.unreadable(malformed=6, unknown_type=5, no_id=3)
    wrong.invalid(
        {"serial_number": "eq-26-ex-1"},
        {"purchase_price.amount": "-1.00"},
        {"purchase_price.amount": "1E+400"},
        {"purchase_price.currency": "XXX"},
        {"purchased_on": "2026-02-30"},
        {"in_service_on": "0001-01-01"},
        {"name": "   "},
    )
    again(6, "repeat", same=itself)
    again(5, "id-reused", same=itself, name=lambda row: f"{row['name']} (new)")
    for row in some(table.right, 6):
        row["how"] = "structured"


def new_tag() -> Row:
    number = between(100_000, 999_999)
    return {"equipment_id": f"zz-{number}", "serial_number": f"EQ-2026-ZZ-{number}"}


def maintenance(fleet: Fleet) -> Table:
    fields = "equipment_id job_id maintenance_type completed_by performed_at labour_minutes:int"
    table = Table(PAST, 6, "equipment.record-maintenance", f"{fields} cost.amount cost.currency notes")
    for day, machine, work in sorted(services(fleet), key=lambda entry: (entry[0], entry[1].company.id, entry[1].id)):
        company, who = machine.company, machine.company.technician
        machine.version += 1
        table.add(
            company.id,
            f"user:{who}" if chance() < 0.8 else company.manager,
            equipment_id=machine.id,
            job_id=f"{machine.id}-{day}",
            maintenance_type=work["type"],
            completed_by=who,
            performed_at=company.moment(day),
            labour_minutes=max(30, round(int(work["minutes"]) * (0.7 + chance() * 0.6) / 15) * 15),
            **company.money(float(work["cost_usd"]) * (0.8 + chance() * 0.5), 0.5, "cost"),
            notes=work["notes"] if work["type"] != "PREVENTIVE" or chance() < 0.6 else "",
        )
    wrong_maintenance(fleet, table)
    return table


def services(fleet: Fleet) -> Iterator[tuple[date, Machine, dict[str, str]]]:
    """Every service of the recorded years: at the category's rhythm, never before the machine was in service."""
    works = source("work")
    for machine in fleet.machines():
        rhythm = int(machine.category["days_between_services"])
        day = max(FIRST_DAY, machine.in_service + timedelta(days=20)) + timedelta(days=between(0, rhythm))
        own = [work for work in works if work["company"] == machine.company.id]
        fit = [work for work in own if work["category"] in ("", machine.category["category"])]
        while day <= LAST_DAY:
            kind = pick(WORK_DONE)
            yield day, machine, pick([work for work in fit if work["type"] == kind])
            day += timedelta(days=between(rhythm * 6 // 10, rhythm * 13 // 10))


def wrong_maintenance(fleet: Fleet, table: Table) -> None:
    numbers = count(1)
    in_service = {(machine.company.id, machine.id): machine.in_service for machine in fleet.machines()}

    def too_early(row: Row) -> str:
        return f"{in_service[row['company'], row['equipment_id']] - timedelta(days=between(20, 300))}T10:00:00Z"

    wrong, again = Wrong(table, lambda: {"job_id": f"late-{next(numbers):03}"}), Wrong(table)
    wrong(10, "performed-in-future", performed_at="+30dT08:00:00Z")
    wrong(12, "performed-before-service", performed_at=too_early)
    wrong(8, "technician-unknown", completed_by=lambda _: pick(("jsmith", "contractor-4", "nobody")))
    wrong(10, "actor-unknown", actor=lambda _: pick(("user:nobody", "user:ghost", "key:old-tablet")))
    wrong(12, "forbidden", actor=fleet.somebody("viewer"))
    wrong(3, "forbidden", actor=HELPDESK)
    wrong(10, "equipment-unknown", equipment_id=lambda row: row["equipment_id"].replace("-0", "-9"))
    wrong(6, "company-unknown", company=lambda _: pick(STRANGERS))
    wrong(6, "invalid", "extra-field")
    wrong.unreadable(malformed=8, unknown_type=5, no_id=3)
    wrong.invalid(
        {"maintenance_type": "OIL"},
        {"maintenance_type": "preventive"},
        {"performed_at": "2025-06-01T10:00:00"},
        {"performed_at": "0001-01-01T00:00:00Z"},
        {"labour_minutes": "-5"},
        {"labour_minutes": "9223372036854775808"},
        {"cost.amount": "10.123"},
        {"job_id": "the/job"},
    )
    again(10, "nothing")
    again(14, "repeat", same=itself)
    again(2, "repeat", among=[row for row in table.rows if row["expect"] == "performed-in-future"], same=itself)
    again(8, "id-reused", same=itself, labour_minutes=lambda row: int(row["labour_minutes"]) + 15)
    for how, number in (("structured", 6), ("mis-keyed", 25)):
        for row in some(table.lonely, number):
            row["how"] = how


def schedule(fleet: Fleet) -> Table:
    fields = "equipment_id job_id maintenance_type scheduled_date technician_id notes"
    table = Table(PAST, 7, "equipment.schedule-maintenance", fields)
    numbers = count(1)
    for company in fleet.companies:
        most = min(int(company.facts["maximum_open_jobs"]), 3)
        for machine in (pick(company.machines) for _ in range(len(company.machines) * 7 // 10)):
            if len(machine.jobs) < most:
                job_id, kind = f"wo-{next(numbers):05}", pick(WORK_TO_COME)
                machine.jobs[job_id] = kind
                machine.version += 1
                for_managers = kind in company.facts["types_for_managers"]
                table.add(
                    company.id,
                    company.manager if for_managers else company.actor("manager", "technician"),
                    equipment_id=machine.id,
                    job_id=job_id,
                    maintenance_type=kind,
                    scheduled_date=f"+{between(company.notice + 5, 120)}d",
                    technician_id=company.technician if chance() < 0.7 else "",
                )
    wrong_schedule(fleet, table)
    return table


def wrong_schedule(fleet: Fleet, table: Table) -> None:
    numbers = count(1)
    andes, nordkran = table.of(fleet.andes), table.of(fleet.nordkran)
    full = {machine.id for machine in fleet.deccan.machines if len(machine.jobs) == 2}
    last = list({row["equipment_id"]: row for row in table.of(fleet.deccan) if row["equipment_id"] in full}.values())
    fresh = Wrong(table, lambda: {"job_id": f"wo-x{next(numbers):03}", "maintenance_type": "PREVENTIVE"})
    again = Wrong(table)
    fresh(16, "date-in-past", scheduled_date=lambda _: f"-{between(3, 40)}d")
    fresh(6, "notice-too-short", among=nordkran, scheduled_date="+2d")
    technician = fleet.somebody("technician")
    fresh(6, "type-needs-manager", among=nordkran, actor=technician, maintenance_type="CALIBRATION")
    fresh(6, "too-many-open-jobs", among=last)
    fresh(4, "technician-unknown", among=andes, technician_id="nobody")
    fresh(5, "forbidden", actor=fleet.somebody("viewer"))
    fresh(4, "equipment-unknown", equipment_id="mc-9999")
    fresh(4, "actor-unknown", actor="user:nobody")
    fresh(3, "invalid dead-letter", "malformed")
    again(4, "nothing")
    again(5, "repeat", same=itself)
    again(3, "id-reused", same=itself, scheduled_date="+99d", notes="later, please")


# --- today ----------------------------------------------------------------------------------------------------------


def start(fleet: Fleet) -> Table:
    table = Table(TODAY, 1, "equipment.start-maintenance", "equipment_id job_id")
    for machine, job_id in some(fleet.open_jobs(), 280):
        machine.started.add(job_id)
        machine.version += 1
        table.add(machine.company.id, machine.company.actor("technician"), equipment_id=machine.id, job_id=job_id)
    wrong = Wrong(table)
    wrong(5, "job-unknown", job_id="wo-99999")
    wrong(3, "nothing")
    return table


def complete(fleet: Fleet) -> Table:
    fields = "equipment_id job_id completed_by labour_minutes:int cost.amount cost.currency performed_at notes"
    table = Table(TODAY, 2, "equipment.complete-maintenance", fields)
    for machine, job_id in some(fleet.open_jobs(), 230):
        company, who = machine.company, machine.company.technician
        follows = close(machine, job_id)
        table.add(
            company.id,
            f"user:{who}",
            "+maintenance-scheduled" if follows else "",
            equipment_id=machine.id,
            job_id=job_id,
            completed_by=who,
            labour_minutes=between(4, 40) * 15,
            **company.money(between(40, 2500), 0.5, "cost"),
        )
    wrong = Wrong(table)
    wrong(3, "job-unknown", job_id="wo-99999")
    wrong(3, "nothing")
    faults = {
        "performed-before-scheduled": {"performed_at": "2026-10-01T10:00:00Z"},
        "performed-in-future": {"performed_at": "+3dT10:00:00Z"},
        "technician-unknown": {"completed_by": "nobody"},
    }
    for (machine, job_id), (code, fault) in zip(some(fleet.open_jobs(), 9), [*faults.items()] * 3, strict=True):
        done = {"job_id": job_id, "completed_by": machine.company.technician}
        table.put_in(code, machine.by_manager | done, **fault)
    return table


def close(machine: Machine, job_id: str) -> bool:
    """Whether the company's policy lets another job follow."""
    follows = machine.jobs.pop(job_id) == "PREVENTIVE" and machine.model["category"] in machine.company.intervals
    machine.started.discard(job_id)
    machine.version += 2 if follows else 1
    if follows:
        machine.jobs[f"after {job_id}"] = "PREVENTIVE"
    return follows


def assign(fleet: Fleet) -> Table:
    table = Table(TODAY, 3, "equipment.assign-equipment", "equipment_id assignee.kind assignee.id expected_return")
    places = source("places")
    for machine in some(fleet.machines(lambda machine: machine.idle), 380):
        machine.assigned = True
        machine.version += 1
        own = [entry["place"] for entry in places if entry["company"] == machine.company.id]
        kind, name = ("place", pick(own)) if chance() < 0.75 else ("user", machine.company.technician)
        until = f"+{between(5, 200)}d" if chance() < 0.6 else ""
        table.add(**machine.by_manager, **{"assignee.kind": kind, "assignee.id": name}, expected_return=until)
    wrong = Wrong(table)
    wrong(5, "equipment-assigned", **YARD)
    wrong(3, "nothing")
    wrong(5, "forbidden", actor=fleet.somebody("technician"))
    for machine in some(fleet.machines(lambda machine: bool(machine.jobs) and not machine.assigned), 5):
        table.put_in("equipment-not-active", machine.by_manager, **YARD)
    idle = fleet.machines(lambda machine: machine.idle)
    for machine in some(idle, 4):
        table.put_in("assignee-unknown", machine.by_manager, **{"assignee.kind": "user", "assignee.id": "nobody"})
    for machine in some(idle, 4):
        table.put_in("expected-return-in-past", machine.by_manager, **YARD, expected_return="-9d")
    for machine in some([machine for machine in idle if machine.version > 1], 6):
        table.put_in("version-conflict", machine.by_manager, f"version:{machine.version - 1}", **YARD)
    return table


def give_back(fleet: Fleet) -> Table:
    table = Table(TODAY, 4, "equipment.return-equipment", "equipment_id notes")
    notes = ("", "", "Fuel tank full.", "Left mirror cracked.", "Clean, no damage.")
    for machine in some(fleet.machines(lambda machine: machine.assigned), 130):
        machine.assigned = False
        machine.version += 1
        table.add(**machine.by_manager, notes=pick(notes))
    Wrong(table)(5, "equipment-not-assigned")
    return table


def rename(fleet: Fleet) -> Table:
    table = Table(TODAY, 5, "equipment.rename-equipment", "equipment_id name")
    tracked = some(fleet.machines(), 60)
    for machine in tracked:
        seen = f"version:{machine.version}" if chance() < 0.3 else ""
        machine.version += 1
        machine.name += " (GPS)"
        table.add(**machine.by_manager, how=seen, name=machine.name)
    for machine in some(tracked, 6):
        table.put_in("version-conflict", machine.by_manager, "version:1", name="Old view")
    others = fleet.machines(lambda machine: machine not in tracked)
    for machine in some(others, 4):
        table.put_in("invalid", machine.by_manager, name=pick(("  ", "x" * 201)))
    # Not the road builder's: his account is closed for a moment soon.
    for machine in some([machine for machine in others if machine.company is not fleet.deccan], 6):
        machine.renamed_astray = True
        table.put_in("", machine.by_manager, "mis-keyed", name=f"{machine.name} (GPS)")
    return table


def retire(fleet: Fleet) -> Table:
    table = Table(TODAY, 6, "equipment.retire-equipment", "equipment_id reason")
    reasons = ("Sold at auction.", "Frame damage beyond repair.", "End of economic life.", "Traded in for a new model.")
    known = fleet.machines(lambda machine: not machine.renamed_astray)
    for machine in some([machine for machine in known if not machine.assigned and not machine.started], 60):
        machine.retired = True
        cancelled = f"+maintenance-cancelled*{len(machine.jobs)}" if machine.jobs else ""
        machine.jobs.clear()
        table.add(**machine.by_manager, expect=cancelled, reason=pick(reasons))
    wrong = Wrong(table)
    wrong(4, "equipment-retired")
    wrong(3, "invalid", reason="")
    for machine in some([machine for machine in known if machine.assigned], 4):
        table.put_in("equipment-assigned", machine.by_manager, reason=pick(reasons))
    for machine in some([machine for machine in known if machine.started and not machine.assigned], 4):
        table.put_in("job-started", machine.by_manager, reason=pick(reasons))
    return table


def suspend(fleet: Fleet) -> Table:
    """The road builder's account is closed for a moment."""
    table = Table(TODAY, 7, "company.suspend-company", "company_id reason")
    for actor, expect in ((fleet.deccan.actor("admin"), "forbidden"), (OPERATOR, "")):
        table.add(fleet.deccan.id, actor, expect, company_id=fleet.deccan.id, reason="Invoice 2026-10 is unpaid.")
    return table


def meanwhile(fleet: Fleet) -> Table:
    """The other companies go on."""
    table = Table(TODAY, 8, "equipment.rename-equipment", "equipment_id name")
    others = fleet.machines(lambda machine: machine.company is not fleet.deccan)
    for machine in some(fleet.deccan.machines, 6):
        table.add(**machine.by_manager, expect="company-suspended", name="Not now")
    for machine in some([machine for machine in others if not machine.retired], 20):
        table.add(**machine.by_manager, name=f"{machine.name} *")
    for machine in some([machine for machine in others if machine.retired], 4):
        table.add(**machine.by_manager, expect="equipment-retired", name="Gone")
    return table


def reactivate(fleet: Fleet) -> Table:
    table = Table(TODAY, 9, "company.reactivate-company", "company_id")
    table.add(fleet.deccan.id, OPERATOR, company_id=fleet.deccan.id)
    return table


#: In the order of publication, which is also the order in which the story happens.
CHAPTERS = (
    *(companies, users, policies, categories, machines, maintenance),
    *(schedule, start, complete, assign, give_back, rename, retire, suspend, meanwhile, reactivate),
)


def main(folder: Path) -> None:
    dice.seed(SEED)
    fleet, numbers = Fleet(), count(1)
    for chapter in CHAPTERS:
        chapter(fleet).write(folder, numbers)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
