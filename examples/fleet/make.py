"""Write the fleet's data files anew from `source/`, the same bytes every time: python examples/fleet/make.py [folder]

What each row must lead to is known by construction here, from the story alone: nothing of the product is asked.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

HERE = Path(__file__).parent
FIRST_DAY, LAST_DAY = date(2023, 11, 1), date(2026, 10, 31)  # of the past that is recorded late
PAST, TODAY = "1-past", "2-today"
OPERATOR = "operator:onboarding"
STRANGERS = ("atlas-haulage", "pampa-cranes", "pacific-haulage")  # companies that nobody opened

KINDS = ("PREVENTIVE",) * 14 + ("CORRECTIVE",) * 3 + ("INSPECTION",) * 2 + ("CALIBRATION",)

Row = dict[str, Any]
T = TypeVar("T")
dice = Random(20261031)  # noqa: S311


def chance() -> float:
    """Only `random()` is the same in every version of Python."""
    return dice.random()


def pick(things: Sequence[T]) -> T:
    return things[int(chance() * len(things))]


def between(low: int, high: int) -> int:
    return low + int(chance() * (high - low + 1))


def some(things: Iterable[T], count: int) -> list[T]:
    """`count` different ones, in their order."""
    pool = list(enumerate(things))
    chosen = [pool.pop(int(chance() * len(pool))) for _ in range(min(count, len(pool)))]
    return [thing for _, thing in sorted(chosen, key=lambda entry: entry[0])]


def source(name: str) -> list[dict[str, str]]:
    with (HERE / "source" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass
class Machine:
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
    past: list[str] = field(default_factory=list)
    assigned: bool = False
    retired: bool = False
    on_a_detour: bool = False  # a mis-keyed command of it is under way, so its version is nobody's guess

    @property
    def idle(self) -> bool:
        return not (self.jobs or self.assigned or self.retired)


@dataclass
class Company:
    facts: dict[str, str]
    people: list[dict[str, str]]
    machines: list[Machine] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.facts["company"]

    def users(self, role: str) -> list[str]:
        return [person["user"] for person in self.people if person["role"] == role]

    def actor(self, *roles: str) -> str:
        return f"user:{pick(self.users(pick(roles)))}"

    @property
    def manager(self) -> str:
        return self.actor("manager")

    @property
    def interval(self) -> dict[str, str]:
        return dict(entry.split("=") for entry in self.facts["intervals"].split())

    def money(self, usd: float, step: float, field_name: str) -> Row:
        amount = round(usd * float(self.facts["per_usd"]) / step) * step
        return {f"{field_name}.amount": f"{amount:.2f}", f"{field_name}.currency": self.facts["currency"]}

    def moment(self, day: date) -> str:
        """A minute of the working day in the company's zone, as UTC."""
        return f"{day}T{int(self.facts['first_hour_utc']) + between(0, 8):02}:{pick((0, 10, 20, 30, 45)):02}:00Z"


COMPANIES = [
    Company(facts, [person for person in source("people") if person["company"] == facts["company"]])
    for facts in source("companies")
]
ANDES, NORDKRAN, DECCAN = COMPANIES
CATEGORIES = {(entry["company"], entry["category"]): entry for entry in source("categories")}


class Table:
    """One file: commands of one type in the order in which they are published, wrong ones between right ones."""

    def __init__(self, phase: str, number: int, kind: str, fields: str) -> None:
        self.path = Path(phase) / f"{number:02}-{kind}.csv"
        self.fields = fields.split()
        self._rows: list[tuple[float, Row]] = []
        self._leaned_on: set[int] = set()

    def add(self, company: str, actor: str, expect: str = "", how: str = "", **values: Any) -> Row:
        """A command at the end."""
        return self._put(len(self._rows) + 0.0, company, actor, expect, how, values)

    def between(self, expect: str, base: Row, how: str = "", **changes: Any) -> Row:
        """A command like `base` (of this table or not) but for the changes, at some place behind it."""
        self._leaned_on.add(id(base))
        places = {id(row): place for place, row in self._rows}
        after = places.get(id(base), -0.5) + 0.5
        place = after + chance() * (len(self._rows) - after)
        values = {k: v for k, v in base.items() if k not in ("id", "how", "expect")} | changes
        return self._put(place, values.pop("company"), values.pop("actor"), expect, how, values)

    def _put(self, place: float, company: str, actor: str, expect: str, how: str, values: Row) -> Row:
        row = {"company": company, "actor": actor, "how": how, "expect": expect} | values
        unknown = set(values) - {name.partition(":")[0] for name in self.fields} - {"same"}
        if unknown:
            raise KeyError(f"{self.path} has no column {sorted(unknown)}")
        self._rows.append((place, row))
        return row

    @property
    def rows(self) -> list[Row]:
        return [row for _, row in sorted(self._rows, key=lambda entry: entry[0])]

    @property
    def right(self) -> list[Row]:
        return [row for row in self.rows if not row["expect"] and not row["how"]]

    def of(self, company: Company) -> list[Row]:
        return [row for row in self.right if row["company"] == company.id]

    @property
    def free(self) -> list[Row]:
        """Right ones that no other command of the table refers to."""
        return [row for row in self.right if id(row) not in self._leaned_on]

    def write(self, folder: Path, number: Callable[[], str]) -> None:
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = ["id", "company", "actor", *self.fields, "how", "expect"]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for row in self.rows:
                original = row.pop("same", None)  # sent under the id of another command
                row["id"] = original["id"] if original else number()
                writer.writerow([row.get(name.partition(":")[0], "") for name in columns])


# --- the past -------------------------------------------------------------------------------------------------------


def companies() -> Table:
    table = Table(
        PAST,
        1,
        "company.create-company",
        "company_id name time_zone currency tax_id.country tax_id.number admin.user_id admin.name admin.email",
    )
    for company in COMPANIES:
        facts, boss = company.facts, company.people[0]
        table.add(
            company.id,
            OPERATOR,
            company_id=company.id,
            **{name: facts[name] for name in ("name", "time_zone", "currency")},
            **{"tax_id.country": facts["tax_country"], "tax_id.number": facts["tax_number"]},
            **{"admin.user_id": boss["user"], "admin.name": boss["name"], "admin.email": email(boss)},
        )
    andes, nordkran, _ = table.right
    table.between("company-exists", andes)
    table.between("company-exists", nordkran, name="Nordkran Zweigstelle Kiel")
    stranger = STRANGERS[1]
    table.between("invalid", nordkran, company=stranger, company_id=stranger, **{"tax_id.number": "999999904"})
    table.between("invalid", nordkran, company=stranger, company_id=stranger, time_zone="Europe/Kiel")
    table.between("invalid", andes, company=stranger, company_id=stranger, currency="PEZ")
    table.between("forbidden", andes, company=stranger, company_id=stranger, actor="user:mquispe")
    return table


def email(person: dict[str, str]) -> str:
    return f"{person['user']}@{person['company']}.example"


def users() -> Table:
    table = Table(PAST, 2, "user.add-user", "user_id name email roles:list")
    for company in COMPANIES:
        boss = f"user:{company.people[0]['user']}"
        for person in company.people[1:]:
            table.add(
                company.id,
                boss,
                user_id=person["user"],
                name=person["name"],
                email=email(person),
                roles=person["role"],
            )
    row = {company.id: table.of(company) for company in COMPANIES}
    for company in COMPANIES:
        known = row[company.id]
        manager, technician, viewer = known[0], known[5], known[-1]
        table.between("email-taken", technician, user_id=f"{technician['user_id']}2")
        table.between("email-taken", viewer, user_id=f"{viewer['user_id']}2", email=viewer["email"].upper())
        table.between("user-exists", technician, email=f"other.{technician['email']}")
        table.between("invalid", technician, user_id="n.n", email="n.n.example")
        table.between("only-admins-add-admins", manager, actor=f"user:{manager['user_id']}", **new_person("admin"))
        table.between("forbidden", technician, actor=f"user:{technician['user_id']}", **new_person("viewer"))
        table.between("actor-unknown", technician, actor="user:nobody", **new_person("viewer"))
    table.between("forbidden", row[ANDES.id][0], actor="operator:helpdesk", **new_person("viewer"))
    return table


def new_person(role: str) -> Row:
    return {"user_id": "newcomer", "name": "New Comer", "email": "newcomer@mail.example", "roles": role}


def policies() -> Table:
    table = Table(
        PAST,
        3,
        "company.update-maintenance-policy",
        "company_id policy.minimum_notice_days:int policy.maximum_open_jobs:int"
        " policy.types_for_managers:list policy.intervals:json",
    )
    for company in COMPANIES:
        intervals = ", ".join(f'{{"category_id": "{k}", "days": {v}}}' for k, v in company.interval.items())
        table.add(
            company.id,
            company.actor("admin"),
            company_id=company.id,
            **{
                "policy.minimum_notice_days": company.facts["minimum_notice_days"],
                "policy.maximum_open_jobs": company.facts["maximum_open_jobs"],
                "policy.types_for_managers": company.facts["types_for_managers"],
                "policy.intervals": f"[{intervals}]",
            },
        )
    for company, row in zip(COMPANIES, table.right, strict=True):
        table.between("forbidden", row, actor=company.manager)
        table.between("nothing", row)
    table.between("invalid", table.right[0], **{"policy.maximum_open_jobs": "0"})
    return table


def categories() -> Table:
    table = Table(PAST, 4, "category.define-category", "category_id name")
    for company in COMPANIES:
        for entry in CATEGORIES.values():
            if entry["company"] == company.id:
                table.add(company.id, company.manager, category_id=entry["category"], name=entry["name"])
    for company in COMPANIES:
        row = table.of(company)[0]
        table.between("category-name-taken", row, category_id=f"{row['category_id']}-2", name=row["name"].upper())
        table.between("category-exists", row, name=f"{row['name']} 2")
        table.between("forbidden", row, actor=company.actor("viewer"), category_id="sundries", name="Sundries")
    return table


def machines() -> Table:
    table = Table(
        PAST,
        5,
        "equipment.create-equipment",
        "equipment_id name serial_number category_id manufacturer model manufacturer_serial purchased_on in_service_on"
        " purchase_price.amount purchase_price.currency",
    )
    for machine in sorted(bought(), key=lambda machine: (machine.purchased, machine.serial)):
        machine.company.machines.append(machine)
        table.add(
            machine.company.id,
            machine.company.manager,
            equipment_id=machine.id,
            name=machine.name,
            serial_number=machine.serial,
            category_id=machine.category["category"],
            manufacturer=machine.model["make"],
            model=machine.model["model"],
            manufacturer_serial=serial_of_maker(machine.model["serial"]),
            purchased_on=machine.purchased,
            in_service_on=machine.in_service,
            **machine.company.money(
                float(machine.model["price_usd"]) * (0.93 + chance() * 0.14), 100, "purchase_price"
            ),
        )
    wrong_machines(table)
    return table


def bought() -> Iterator[Machine]:
    """All machines: a number per category, an asset tag with the year of purchase."""
    by_id = {company.id: company for company in COMPANIES}
    numbers: dict[tuple[str, str], int] = {}
    for model in source("models"):
        category = CATEGORIES[model["company"], model["category"]]
        company = by_id[model["company"]]
        for _ in range(int(model["machines"])):
            number = numbers[company.id, category["code"]] = numbers.get((company.id, category["code"]), 0) + 1
            purchased = date(2026, 9, 30) - timedelta(days=int(chance() ** 1.4 * 365 * 13))
            yield Machine(
                id=f"{category['code'].lower()}-{number:04}",
                company=company,
                category=category,
                model=model,
                purchased=purchased,
                in_service=purchased + timedelta(days=between(2, 30)),
                serial=f"EQ-{purchased.year}-{category['code']}-{number:06}",
                name=f"{category['noun']} {model['model']} {company.facts['number_word']} {number}",
            )


def serial_of_maker(pattern: str) -> str:
    """A serial number in the maker's own form: # stands for a digit, @ for a letter."""
    drawn = {"#": "0123456789", "@": "ABCDEFGHJKLMNPRSTUVWXYZ"}
    return "".join(pick(drawn[sign]) if sign in drawn else sign for sign in pattern)


def wrong_machines(table: Table) -> None:
    def new(row: Row, **changes: Any) -> Row:
        """What makes of a known machine a new one with a tag of its own."""
        number = between(100_000, 999_999)
        tag = {"equipment_id": f"zz-{number}", "serial_number": f"EQ-2026-ZZ-{number}"}
        return tag | changes

    by_id = {company.id: company for company in COMPANIES}
    rows = table.right
    for row in some(rows, 20):
        table.between("serial-number-taken", row, **new(row, serial_number=row["serial_number"]))
    for row in some(rows, 8):
        table.between("equipment-exists", row, **new(row, equipment_id=row["equipment_id"]))
    for row in some(rows, 8):
        table.between("category-unknown", row, **new(row, category_id="submarines"))
    for row in some(rows, 6):
        table.between("service-before-purchase", row, **new(row, in_service_on="2011-03-01"))
    for row, bad in zip(
        some(rows, 7),
        [
            {"serial_number": "EQ-26-EX-1"},
            {"purchase_price.amount": "-1.00"},
            {"purchase_price.amount": "1E+400"},
            {"purchase_price.currency": "XXX"},
            {"purchased_on": "2026-02-30"},
            {"in_service_on": "0001-01-01"},
            {"name": "   "},
        ],
        strict=True,
    ):
        table.between("invalid", row, **new(row, **bad))
    for row in some(rows, 8):
        table.between("forbidden", row, **new(row, actor=by_id[row["company"]].actor("technician", "viewer")))
    for row in some(rows, 6):
        table.between("actor-unknown", row, **new(row, actor=pick(("user:nobody", "user:j.doe", "system:importer"))))
    for row in some(rows, 6):
        table.between("company-unknown", row, **new(row, company=pick(STRANGERS)))
    for row in some(rows, 6):
        table.between("invalid", row, "extra-field", **new(row))
    for row in some(rows, 2):
        table.between("invalid dead-letter", row, **new(row, equipment_id="zz 17"))
    for row in some(rows, 6):
        table.between("invalid dead-letter", row, "malformed", **new(row))
    for row in some(rows, 5):
        table.between("invalid dead-letter", row, "unknown-type", **new(row))
    for row in some(rows, 3):
        table.between("dead-letter", row, "no-id", **new(row))
    for row in some(rows, 3):
        table.between("invalid", row, "subject:ex-0001", **new(row))
    for row in some(rows, 6):
        table.between("repeat", row, same=row)
    for row in some(rows, 5):
        table.between("id-reused", row, same=row, name=f"{row['name']} (new)")
    for row in some([row for row in rows if row["serial_number"][8:10] in ("EX", "MC")], 6):
        row["how"] = "structured"


def maintenance() -> Table:
    table = Table(
        PAST,
        6,
        "equipment.record-maintenance",
        "equipment_id job_id maintenance_type completed_by performed_at labour_minutes:int cost.amount cost.currency"
        " notes",
    )
    for day, machine, work in sorted(services(), key=lambda entry: (entry[0], entry[1].company.id, entry[1].id)):
        company = machine.company
        who = pick(company.users("technician"))
        job_id = f"{machine.id}-{day}"
        machine.past.append(job_id)
        machine.version += 1
        table.add(
            company.id,
            f"user:{who}" if chance() < 0.8 else company.manager,
            equipment_id=machine.id,
            job_id=job_id,
            maintenance_type=work["type"],
            completed_by=who,
            performed_at=company.moment(day),
            labour_minutes=max(30, round(int(work["minutes"]) * (0.7 + chance() * 0.6) / 15) * 15),
            **company.money(float(work["cost_usd"]) * (0.8 + chance() * 0.5), 0.5, "cost"),
            notes=work["notes"] if work["type"] != "PREVENTIVE" or chance() < 0.6 else "",
        )
    wrong_maintenance(table)
    return table


def services() -> Iterator[tuple[date, Machine, dict[str, str]]]:
    """Every service of the recorded years: at the category's rhythm, never before the machine was in service."""
    works = source("work")
    for company in COMPANIES:
        for machine in company.machines:
            rhythm = int(machine.category["days_between_services"])
            day = max(FIRST_DAY, machine.in_service + timedelta(days=20)) + timedelta(days=between(0, rhythm))
            while day <= LAST_DAY:
                kind = (
                    "PREVENTIVE"
                    if chance() < 0.68
                    else pick(("CORRECTIVE",) * 5 + ("INSPECTION",) * 4 + ("CALIBRATION",))
                )
                fits = [
                    work
                    for work in works
                    if work["company"] == company.id
                    and work["type"] == kind
                    and work["category"] in ("", machine.category["category"])
                ]
                yield day, machine, pick(fits)
                day += timedelta(days=between(rhythm * 6 // 10, rhythm * 13 // 10))


def wrong_maintenance(table: Table) -> None:
    by_id = {company.id: company for company in COMPANIES}
    known = {(machine.company.id, machine.id): machine for company in COMPANIES for machine in company.machines}
    rows = table.right
    numbers = iter(range(1, 1000))

    def new() -> Row:
        return {"job_id": f"late-{next(numbers):03}"}

    for row in some(rows, 10):
        table.between("performed-in-future", row, performed_at="+30dT08:00:00Z", **new())
    for row in some(rows, 12):
        early = known[row["company"], row["equipment_id"]].in_service - timedelta(days=between(20, 300))
        table.between("performed-before-service", row, performed_at=f"{early}T10:00:00Z", **new())
    for row in some(rows, 8):
        table.between("technician-unknown", row, completed_by=pick(("jsmith", "contractor-4", "nobody")), **new())
    for row in some(rows, 10):
        table.between("nothing", row)
    for row in some(rows, 10):
        table.between("actor-unknown", row, actor=pick(("user:nobody", "user:ghost", "key:old-tablet")), **new())
    for row in some(rows, 12):
        table.between("forbidden", row, actor=by_id[row["company"]].actor("viewer"), **new())
    for row in some(rows, 3):
        table.between("forbidden", row, actor="operator:helpdesk", **new())
    for row in some(rows, 10):
        table.between(
            "equipment-unknown", row, equipment_id=f"{row['equipment_id'][:3]}9{row['equipment_id'][-3:]}", **new()
        )
    for row in some(rows, 6):
        table.between("company-unknown", row, company=pick(STRANGERS), **new())
    for row, bad in zip(
        some(rows, 8),
        [
            {"maintenance_type": "OIL"},
            {"maintenance_type": "preventive"},
            {"performed_at": "2025-06-01T10:00:00"},
            {"performed_at": "0001-01-01T00:00:00Z"},
            {"labour_minutes": "-5"},
            {"labour_minutes": "9223372036854775808"},
            {"cost.amount": "10.123"},
            {"job_id": "the/job"},
        ],
        strict=True,
    ):
        table.between("invalid", row, **(new() | bad))
    for row in some(rows, 6):
        table.between("invalid", row, "extra-field", **new())
    for row in some(rows, 8):
        table.between("invalid dead-letter", row, "malformed", **new())
    for row in some(rows, 5):
        table.between("invalid dead-letter", row, "unknown-type", **new())
    for row in some(rows, 3):
        table.between("dead-letter", row, "no-id", **new())
    for row in some(rows, 14):
        table.between("repeat", row, same=row)
    for row in some([row for row in table.rows if row["expect"] == "performed-in-future"], 2):
        table.between("repeat", row, same=row)
    for row in some(rows, 8):
        table.between("id-reused", row, same=row, labour_minutes=int(row["labour_minutes"]) + 15)
    for row in some(table.right, 6):
        row["how"] = "structured"
    for row in some(table.free, 25):
        row["how"] = "mis-keyed"  # decided later than its neighbours, to the same end


# --- today ----------------------------------------------------------------------------------------------------------


def schedule() -> Table:
    table = Table(
        TODAY,
        1,
        "equipment.schedule-maintenance",
        "equipment_id job_id maintenance_type scheduled_date technician_id notes",
    )
    number = 0
    for company in COMPANIES:
        least = int(company.facts["minimum_notice_days"]) + 5
        most_open = int(company.facts["maximum_open_jobs"])
        for _ in range(round(len(company.machines) * 0.7)):
            machine = pick(company.machines)
            if len(machine.jobs) >= min(most_open, 3):
                continue
            number += 1
            kind = pick(("PREVENTIVE",) * 7 + ("INSPECTION",) * 2 + ("CALIBRATION",))
            restricted = kind in company.facts["types_for_managers"]
            job_id = f"wo-{number:05}"
            machine.jobs[job_id] = kind
            machine.version += 1
            table.add(
                company.id,
                company.manager if restricted else company.actor("manager", "technician"),
                equipment_id=machine.id,
                job_id=job_id,
                maintenance_type=kind,
                scheduled_date=f"+{between(least, 120)}d",
                technician_id=pick(company.users("technician")) if chance() < 0.7 else "",
            )
    wrong_schedule(table)
    return table


def wrong_schedule(table: Table) -> None:
    by_id = {company.id: company for company in COMPANIES}
    rows = table.right
    numbers = iter(range(1, 1000))

    def new() -> Row:
        return {"job_id": f"wo-x{next(numbers):03}", "maintenance_type": "PREVENTIVE"}

    for row in some(rows, 16):
        table.between("date-in-past", row, scheduled_date=f"-{between(3, 40)}d", **new())
    for row in some(table.of(NORDKRAN), 6):
        table.between("notice-too-short", row, scheduled_date="+2d", **new())
    for row in some(table.of(NORDKRAN), 6):
        kind = pick(("CALIBRATION", "INSPECTION"))
        table.between(
            "type-needs-manager", row, actor=NORDKRAN.actor("technician"), **(new() | {"maintenance_type": kind})
        )
    full = [machine for machine in DECCAN.machines if len(machine.jobs) == 2]
    last = {row["equipment_id"]: row for row in table.of(DECCAN)}
    for machine in some(full, 6):
        table.between("too-many-open-jobs", last[machine.id], **new())
    for row in some(table.of(ANDES), 4):
        table.between("technician-unknown", row, technician_id="nobody", **new())
    for row in some(rows, 5):
        table.between("forbidden", row, actor=by_id[row["company"]].actor("viewer"), **new())
    for row in some(rows, 4):
        table.between("equipment-unknown", row, equipment_id="mc-9999", **new())
    for row in some(rows, 4):
        table.between("actor-unknown", row, actor="user:nobody", **new())
    for row in some(rows, 3):
        table.between("invalid dead-letter", row, "malformed", **new())
    for row in some(rows, 4):
        table.between("nothing", row)
    for row in some(rows, 5):
        table.between("repeat", row, same=row)
    for row in some(rows, 3):
        table.between("id-reused", row, same=row, scheduled_date="+99d", notes="later, please")


def start() -> Table:
    table = Table(TODAY, 2, "equipment.start-maintenance", "equipment_id job_id")
    for machine, job_id in some(open_jobs(), 280):
        machine.started.add(job_id)
        machine.version += 1
        actor = machine.company.actor("technician")
        table.add(machine.company.id, actor, equipment_id=machine.id, job_id=job_id)
    rows = table.right
    for row in some(rows, 5):
        table.between("job-unknown", row, job_id="wo-99999")
    for row in some(rows, 3):
        table.between("nothing", row)
    return table


def open_jobs() -> list[tuple[Machine, str]]:
    return [(machine, job) for company in COMPANIES for machine in company.machines for job in machine.jobs]


def complete() -> Table:
    table = Table(
        TODAY,
        3,
        "equipment.complete-maintenance",
        "equipment_id job_id completed_by labour_minutes:int cost.amount cost.currency performed_at notes",
    )
    for machine, job_id in some(open_jobs(), 230):
        company = machine.company
        follows = job_follows(machine, machine.jobs.pop(job_id))
        machine.started.discard(job_id)
        machine.past.append(job_id)
        machine.version += 2 if follows else 1
        if follows:
            machine.jobs[f"after {job_id}"] = "PREVENTIVE"
        who = pick(company.users("technician"))
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
    rows = table.rows
    still_open = [(machine, job) for machine, job in open_jobs() if not job.startswith("after")]
    faults = (
        ("performed-before-scheduled", {"performed_at": "2026-10-01T10:00:00Z"}),
        ("performed-in-future", {"performed_at": "+3dT10:00:00Z"}),
        ("technician-unknown", {"completed_by": "nobody"}),
    ) * 3
    for (machine, job_id), (code, fault) in zip(some(still_open, 9), faults, strict=True):
        done_by = pick(machine.company.users("technician"))
        table.between(code, here(machine) | {"job_id": job_id, "completed_by": done_by}, **fault)
    for row in some(rows, 3):
        table.between("job-unknown", row, job_id="wo-99999")
    for row in some(rows, 3):
        table.between("nothing", row)
    return table


def job_follows(machine: Machine, kind: str) -> bool:
    return kind == "PREVENTIVE" and machine.category["category"] in machine.company.interval


def assign() -> Table:
    table = Table(TODAY, 4, "equipment.assign-equipment", "equipment_id assignee.kind assignee.id expected_return")
    places = source("places")
    idle = [machine for company in COMPANIES for machine in company.machines if machine.idle]
    for machine in some(idle, 380):
        company = machine.company
        machine.assigned = True
        machine.version += 1
        own = [entry["place"] for entry in places if entry["company"] == company.id]
        kind, name = ("place", pick(own)) if chance() < 0.75 else ("user", pick(company.users("technician")))
        table.add(
            company.id,
            company.manager,
            equipment_id=machine.id,
            **{"assignee.kind": kind, "assignee.id": name},
            expected_return=f"+{between(5, 200)}d" if chance() < 0.6 else "",
        )
    wrong_assign(table)
    return table


def wrong_assign(table: Table) -> None:
    by_id = {company.id: company for company in COMPANIES}
    rows = table.right
    for row in some(rows, 5):
        table.between("equipment-assigned", row, **{"assignee.kind": "place", "assignee.id": "elsewhere"})
    for row in some(rows, 3):
        table.between("nothing", row)
    for row in some(rows, 5):
        table.between("forbidden", row, actor=by_id[row["company"]].actor("technician"))
    busy = [m for company in COMPANIES for m in company.machines if m.jobs and not m.assigned]
    for machine in some(busy, 5):
        table.between("equipment-not-active", here(machine), **{"assignee.kind": "place", "assignee.id": "yard"})
    idle = [m for company in COMPANIES for m in company.machines if m.idle]
    for machine in some(idle, 4):
        table.between("assignee-unknown", here(machine), **{"assignee.kind": "user", "assignee.id": "nobody"})
    for machine in some(idle, 4):
        late = {"assignee.kind": "place", "assignee.id": "yard", "expected_return": "-9d"}
        table.between("expected-return-in-past", here(machine), **late)
    for machine in some([m for m in idle if m.version > 1], 6):
        place = {"assignee.kind": "place", "assignee.id": "yard"}
        table.between("version-conflict", here(machine), f"version:{machine.version - 1}", **place)


def here(machine: Machine) -> Row:
    """The beginning of any command of a manager about the machine."""
    return {"company": machine.company.id, "actor": machine.company.manager, "equipment_id": machine.id}


def give_back() -> Table:
    table = Table(TODAY, 5, "equipment.return-equipment", "equipment_id notes")
    out = [machine for company in COMPANIES for machine in company.machines if machine.assigned]
    for machine in some(out, 130):
        machine.assigned = False
        machine.version += 1
        table.add(**here(machine), notes=pick(("", "", "Fuel tank full.", "Left mirror cracked.", "Clean, no damage.")))
    for row in some(table.right, 5):
        table.between("equipment-not-assigned", row)
    return table


def rename() -> Table:
    table = Table(TODAY, 6, "equipment.rename-equipment", "equipment_id name")
    everyone = [machine for company in COMPANIES for machine in company.machines]
    known = some(everyone, 60)
    for machine in known:
        version = f"version:{machine.version}" if chance() < 0.3 else ""
        machine.version += 1
        machine.name += " (GPS)"
        table.add(machine.company.id, machine.company.manager, "", version, equipment_id=machine.id, name=machine.name)
    for machine in some(known, 6):
        table.between("version-conflict", here(machine), "version:1", name="Old view")
    for machine in some([m for m in everyone if m not in known], 4):
        table.between("invalid", here(machine), name=pick(("  ", "x" * 201)))
    for machine in some([m for m in everyone if m not in known and m.company is not DECCAN], 6):
        table.between("", here(machine), "mis-keyed", name=f"{machine.name} (GPS)")
        machine.on_a_detour = True
    return table


def retire() -> Table:
    table = Table(TODAY, 7, "equipment.retire-equipment", "equipment_id reason")
    everyone = [m for company in COMPANIES for m in company.machines if not m.on_a_detour]
    reasons = ("Sold at auction.", "Frame damage beyond repair.", "End of economic life.", "Traded in for a new model.")
    for machine in some([m for m in everyone if not m.assigned and not m.started], 60):
        machine.retired = True
        cancelled = f"+maintenance-cancelled*{len(machine.jobs)}" if machine.jobs else ""
        machine.jobs.clear()
        table.add(machine.company.id, machine.company.manager, cancelled, equipment_id=machine.id, reason=pick(reasons))
    rows = table.rows
    for row in some(rows, 4):
        table.between("equipment-retired", row)
    for machine in some([m for m in everyone if m.assigned], 4):
        table.between("equipment-assigned", here(machine), reason=pick(reasons))
    for machine in some([m for m in everyone if m.started and not m.assigned], 4):
        table.between("job-started", here(machine), reason=pick(reasons))
    for row in some(rows, 3):
        table.between("invalid", row, reason="")
    return table


def suspend() -> Iterator[Table]:
    """The road builder's account is closed for a moment; the others go on."""
    closed = Table(TODAY, 8, "company.suspend-company", "company_id reason")
    for actor, expect in ((DECCAN.actor("admin"), "forbidden"), (OPERATOR, "")):
        closed.add(DECCAN.id, actor, expect, company_id=DECCAN.id, reason="Invoice 2026-10 is unpaid.")
    yield closed
    meanwhile = Table(TODAY, 9, "equipment.rename-equipment", "equipment_id name")
    everyone = [m for company in COMPANIES for m in company.machines]
    for machine in some([m for m in everyone if m.company is DECCAN], 6):
        meanwhile.add(DECCAN.id, DECCAN.manager, "company-suspended", equipment_id=machine.id, name="Not now")
    for machine in some([m for m in everyone if m.company is not DECCAN and not m.retired], 20):
        meanwhile.add(machine.company.id, machine.company.manager, equipment_id=machine.id, name=f"{machine.name} *")
    for machine in some([m for m in everyone if m.company is not DECCAN and m.retired], 4):
        meanwhile.add(
            machine.company.id, machine.company.manager, "equipment-retired", equipment_id=machine.id, name="Gone"
        )
    yield meanwhile
    reopened = Table(TODAY, 10, "company.reactivate-company", "company_id")
    reopened.add(DECCAN.id, OPERATOR, company_id=DECCAN.id)
    yield reopened


def tables() -> Iterator[Table]:
    """In the order of publication, which is also the order in which the story happens."""
    for chapter in (companies, users, policies, categories, machines, maintenance):
        yield chapter()
    for chapter in (schedule, start, complete, assign, give_back, rename, retire):
        yield chapter()
    yield from suspend()


def main(folder: Path) -> None:
    count = 0

    def number() -> str:
        nonlocal count
        count += 1
        return f"c{count:05}"

    for table in tables():
        table.write(folder, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
