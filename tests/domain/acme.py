"""The company that the tests tell of: its people, its categories, one excavator, one part on stock."""

from datetime import date
from decimal import Decimal
from typing import Any

from domain.category import CategoryDefined
from domain.charges import Method
from domain.company import CategoryInterval, CompanyCreated, MaintenancePolicy, MaintenancePolicyUpdated
from domain.depreciation import Account, BookName, Plan, Terms, following
from domain.equipment import (
    Assignee,
    DepreciationPosted,
    DepreciationSet,
    EquipmentAssigned,
    EquipmentBrokeDown,
    EquipmentCreated,
    MaintenanceScheduled,
    MaintenanceStarted,
)
from domain.key import KeyCreated
from domain.maintenance import MaintenanceType
from domain.model import Money, Role
from domain.part import PartDefined, StockIssued, StockLevel, StockReceived, StockReserved, UnitCost, digits
from domain.periods import label
from domain.plan import Anchor, PlanDefined, PlanTerms
from domain.recurrence import Schedule
from domain.role import RoleDefined
from domain.user import UserAddedToCompany

PREVENTIVE, CORRECTIVE = MaintenanceType.PREVENTIVE, MaintenanceType.CORRECTIVE
ADA, MAX, TESS, VIC = "user:ada", "user:max", "user:tess", "user:vic"
OPERATOR = "operator:onboarding"
TODAY = date(2026, 11, 23)

OPENED = (
    CompanyCreated(company_id="acme", name="Acme Mining", time_zone="America/Lima", currency="PEN"),
    UserAddedToCompany(user_id="ada", name="Ada Quispe", email="ada@acme.example", roles=(Role.ADMIN,)),
)
ACME = (
    *OPENED,
    UserAddedToCompany(user_id="max", name="Max Rojas", email="max@acme.example", roles=(Role.MANAGER,)),
    UserAddedToCompany(user_id="tess", name="Tess Flores", email="tess@acme.example", roles=(Role.TECHNICIAN,)),
    UserAddedToCompany(user_id="vic", name="Vic Paredes", email="vic@acme.example", roles=(Role.VIEWER,)),
    CategoryDefined(category_id="excavators", name="Excavators"),
)
STOREKEEPER = RoleDefined(role="storekeeper", permissions=("category.define", "equipment.read"))
PLANT = KeyCreated(
    key_id="plant-4",
    name="Plant 4",
    public_key="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    permissions=("category.define", "equipment.read"),
)
EXCAVATOR = EquipmentCreated(
    equipment_id="ex-7",
    name="Excavator 7",
    serial_number="EQ-2024-EX-000007",
    category_id="excavators",
    in_service_on=date(2024, 3, 1),
)
BROKEN = EquipmentBrokeDown(equipment_id="ex-7", breakdown_id="hose", description="Oil everywhere")
FILTER = PartDefined(part_id="filter", name="Oil filter", unit="pc", minimum="4", reorder_quantity="10", currency="PEN")
PLANNED = PlanDefined(
    plan_id="weekly",
    name="Weekly check",
    equipment_id="ex-7",
    terms=PlanTerms(
        maintenance_type=PREVENTIVE, anchor=Anchor.FIXED, schedule=Schedule(rule="FREQ=WEEKLY", start=TODAY)
    ),
    settled=date(2026, 11, 22),
    next_due=TODAY,
)
LENT = EquipmentAssigned(equipment_id="ex-7", assignee=Assignee(kind="user", id="tess"))


def scheduled(job_id: str = "oil", **changes: Any) -> MaintenanceScheduled:
    """A preventive job of the excavator for the first of December."""
    job = {"maintenance_type": PREVENTIVE, "scheduled_date": date(2026, 12, 1)}
    return MaintenanceScheduled(equipment_id="ex-7", job_id=job_id, **job | changes)


def started(job_id: str = "oil") -> MaintenanceStarted:
    return MaintenanceStarted(equipment_id="ex-7", job_id=job_id)


def policy(**terms: Any) -> MaintenancePolicyUpdated:
    return MaintenancePolicyUpdated(company_id="acme", policy=MaintenancePolicy(**terms))


def every(days: int, category_id: str = "excavators") -> tuple[CategoryInterval, ...]:
    return (CategoryInterval(category_id=category_id, days=days),)


FINANCIAL, TAX = BookName.FINANCIAL, BookName.TAX


def soles(amount: str) -> Money:
    return Money(amount=amount, currency="PEN")


def terms(**changes: Any) -> Terms:
    """The excavator over ten years from March 2024: 120,000 soles down to 12,000, 900 a month."""
    usual: dict[str, Any] = {"method": Method.STRAIGHT_LINE, "life_months": 120, "available_on": date(2024, 3, 1)}
    return Terms(**usual | {"cost": soles("120000.00"), "salvage": soles("12000.00")} | changes)


def plan(**changes: Any) -> Plan:
    return Plan(**{name: getattr(terms(**changes), name) for name in Plan.model_fields})


def depreciated(book: BookName = FINANCIAL, **changes: Any) -> DepreciationSet:
    return DepreciationSet(equipment_id="ex-7", book=book, terms=terms(**changes))


def postings(months: int, book: BookName = FINANCIAL, **changes: Any) -> list[DepreciationPosted]:
    """The excavator's first periods in a book."""
    account, found = Account.of(terms(**changes)), []
    for _ in range(months):
        entry = following(account)
        assert entry is not None
        account = account.after(entry)
        found.append(
            DepreciationPosted(
                equipment_id="ex-7",
                book=book,
                period=label(entry.month),
                currency="PEN",
                amount=f"{entry.amount:.2f}",
                accumulated=f"{account.accumulated:.2f}",
                value=f"{entry.value:.2f}",
                opening=f"{entry.opening:.2f}",
            )
        )
    return found


def received(
    quantity: str = "10", cost: str = "2.50", movement_id: str = "in", after: StockLevel | None = None
) -> StockReceived:
    """Oil filters delivered, the first ones unless told what is there after."""
    return StockReceived(
        part_id="filter",
        movement_id=movement_id,
        quantity=quantity,
        unit_cost=UnitCost(amount=cost, currency="PEN"),
        after=after or StockLevel(balance=quantity, average_cost=digits(Decimal(cost))),
    )


def taken(quantity: str, movement_id: str = "take") -> StockIssued:
    """Some of the first ten filters issued for the excavator's oil job."""
    return StockIssued(
        part_id="filter",
        movement_id=movement_id,
        equipment_id="ex-7",
        job_id="oil",
        quantity=quantity,
        unit_cost=UnitCost(amount="2.5", currency="PEN"),
        after=StockLevel(balance=digits(10 - Decimal(quantity)), average_cost="2.5"),
    )


def reserved(quantity: str, movement_id: str = "keep") -> StockReserved:
    """Some of the first ten filters kept for the excavator's oil job."""
    return StockReserved(
        part_id="filter",
        movement_id=movement_id,
        equipment_id="ex-7",
        job_id="oil",
        quantity=quantity,
        after=StockLevel(balance="10", reserved=quantity, average_cost="2.5"),
        previous="0",
    )
