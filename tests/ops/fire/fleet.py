"""Commands that between them change every column of a machine's row, none of which is refused."""

from collections.abc import Iterator
from typing import Any

from tests.agents.orders import order
from topics.messages import CommandMessage

PRICE = {"amount": "182000.50", "currency": "EUR"}
PAPERS = {
    "name": "Digger",
    "category_id": "pump",
    "manufacturer": "Komatsu",
    "model": "PC210",
    "manufacturer_serial": "KMT-7",
    "purchased_on": "2020-01-01",
    "in_service_on": "2020-02-01",
    "purchase_price": PRICE,
}
ADA = {"kind": "user", "id": "ada"}


def job(id_: str, day: str = "2030-01-01") -> dict[str, Any]:
    return {"job_id": id_, "maintenance_type": "PREVENTIVE", "scheduled_date": day}


SOLD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create-equipment", PAPERS | {"serial_number": "EQ-2020-EX-900001"}),
    ("rename-equipment", {"name": "Digger 1"}),
    ("move-equipment", {"place": "yard"}),
    ("report-breakdown", {"breakdown_id": "hose"}),
    ("report-repaired", {"breakdown_id": "hose", "repaired_by": "ada"}),
    ("assign-equipment", {"assignee": ADA, "expected_return": "2099-01-01"}),
    ("return-equipment", {}),
    ("schedule-maintenance", job("oil")),
    ("reschedule-maintenance", {"job_id": "oil", "scheduled_date": "2030-02-01"}),
    ("start-maintenance", {"job_id": "oil"}),
    ("complete-maintenance", {"job_id": "oil", "completed_by": "ada"}),
    ("schedule-maintenance", job("belts")),
    ("cancel-maintenance", {"job_id": "belts", "reason": "not needed"}),
    ("hold-for-sale", {"held_on": "2024-01-01"}),
    ("withdraw-from-sale", {"withdrawn_on": "2024-02-01"}),
    ("schedule-maintenance", job("never")),
    ("retire-equipment", {"reason": "worn out", "proceeds": PRICE}),
)
KEPT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create-equipment", PAPERS | {"serial_number": "EQ-2020-EX-900002"}),
    ("move-equipment", {"place": "pit"}),
    ("assign-equipment", {"assignee": ADA, "expected_return": "2099-01-01"}),
    ("schedule-maintenance", job("oil", "2031-01-01")),
    ("schedule-maintenance", job("belts", "2030-06-01")),
    ("start-maintenance", {"job_id": "belts"}),
    ("record-meter-reading", {"meter": "HOURS", "reading": "4210.5"}),
    ("report-breakdown", {"breakdown_id": "pump"}),
    ("hold-for-sale", {"held_on": "2024-01-01"}),
)
VOIDED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create-equipment", PAPERS | {"serial_number": "EQ-2020-EX-900003"}),
    ("schedule-maintenance", job("oil")),
    ("void-equipment", {"reason": "registered twice"}),
)
AGAIN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create-equipment", PAPERS | {"serial_number": "EQ-2020-EX-900003", "name": "Digger 3"}),
)


def lives(company: str) -> Iterator[CommandMessage]:
    """Of four machines, and of a few other things, in a company that has begun."""
    for machine, life in (("sold", SOLD), ("kept", KEPT), ("voided", VOIDED), ("voided", AGAIN)):
        for verb, data in life:
            yield order(company, f"equipment.{verb}", machine, data)
    person = {"name": "Tess", "email": "tess@firm.example", "roles": ["technician"]}
    yield order(company, "user.add-user", "tess", person)
    yield order(company, "category.define-category", "cranes", {"name": "Cranes"})
    yield order(company, "category.rename-category", "cranes", {"name": "Big cranes"})
    stock = {"name": "Belt", "unit": "m", "minimum": "2.5", "reorder_quantity": "25"}
    yield order(company, "part.define-part", "belt", stock)
    received = {"movement_id": "first", "quantity": "5", "unit_cost": {"amount": "0.0125", "currency": "EUR"}}
    yield order(company, "part.receive-stock", "belt", received)
