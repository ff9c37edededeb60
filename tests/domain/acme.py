"""The company that the tests tell of: its people, its categories, one excavator."""

from datetime import date
from typing import Any

from domain.category import CategoryDefined
from domain.company import CategoryInterval, CompanyCreated, MaintenancePolicy, MaintenancePolicyUpdated
from domain.equipment import (
    Assignee,
    EquipmentAssigned,
    EquipmentBrokeDown,
    EquipmentCreated,
    MaintenanceScheduled,
    MaintenanceStarted,
)
from domain.maintenance import MaintenanceType
from domain.model import Role
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
