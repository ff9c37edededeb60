"""The company that the tests tell of: its people, its categories, one excavator."""

from datetime import date
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
from domain.maintenance import MaintenanceType
from domain.model import Money, Role
from domain.periods import label
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
EXCAVATOR = EquipmentCreated(
    equipment_id="ex-7",
    name="Excavator 7",
    serial_number="EQ-2024-EX-000007",
    category_id="excavators",
    in_service_on=date(2024, 3, 1),
)
BROKEN = EquipmentBrokeDown(equipment_id="ex-7", breakdown_id="hose", description="Oil everywhere")
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
