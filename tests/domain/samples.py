"""A sample of every command with all its fields, the past in which it is right, and the events it leads to."""

import json
from datetime import date, timedelta
from functools import cache
from typing import Any

from domain.asset import AssetImported, AssetRecord, AssetState
from domain.charges import Method
from domain.company import CompanySuspended
from domain.decider import Rule
from domain.equipment import EquipmentHeldForSale, EquipmentMoved
from domain.letter import LetterDiscarded
from domain.model import Event
from domain.plan import NextOccurrencePlanned, PlanPaused, RecordOccurrence
from domain.platform import ProcessAdmitted
from domain.user import IdentityLinked, UserDeactivated
from tests.domain.acme import (
    ACME,
    ADA,
    BROKEN,
    EXCAVATOR,
    FILTER,
    LENT,
    OPERATOR,
    PLANNED,
    PLANT,
    STOREKEEPER,
    TODAY,
    depreciated,
    every,
    policy,
    postings,
    received,
    reserved,
    scheduled,
    taken,
)
from tests.domain.credentials import ENROLLED, INVITED, SECRETS, SIGNED_IN, reuse
from tests.domain.scenario import HOMES, NOW, RULES, Answer, Story, given

MONEY = {"amount": "120.50", "currency": "PEN"}
PRICE = {"amount": "130000.00", "currency": "PEN"}
PLAN = {
    "method": "UNITS_OF_PRODUCTION",
    "life_months": 120,
    "convention": "FULL_MONTH",
    "frequency": "MONTHLY",
    "year_starts": 1,
    "factor": "2",
    "rate": "31.9",
    "rate_places": 3,
    "opening": "YEAR",
    "percentages": ["60", "40"],
    "total_units": "12000",
    "meter": "HOURS",
}
DONE = {
    "completed_by": "tess",
    "performed_at": "2026-11-22T10:00:00Z",
    "labour_minutes": 90,
    "cost": MONEY,
    "notes": "",
}

MOVED = {"part_id": "filter", "movement_id": "m-1"}
TERMS = {
    "maintenance_type": "PREVENTIVE",
    "anchor": "FIXED",
    "schedule": {
        "rule": "FREQ=MONTHLY;BYDAY=1MO",
        "start": "2026-12-01",
        "extra_days": ["2026-12-24"],
        "excluded_days": ["2027-01-04"],
    },
    "meter": {"meter": "HOURS", "every": "250", "since_service": "4000"},
    "at": "08:00",
    "lead_days": 14,
    "catch_up": "EACH",
    "technician_id": "tess",
    "notes": "with grease",
    "expected_minutes": 90,
}
FOR_JOB = {"equipment_id": "ex-7", "job_id": "oil"}

#: Every command with every field filled.
FULL: dict[str, dict[str, Any]] = {
    "company.create": {
        "company_id": "acme",
        "name": "Acme Mining",
        "time_zone": "America/Lima",
        "currency": "PEN",
        "admin": {"user_id": "ada", "name": "Ada Quispe", "email": "ada@acme.example"},
        "tax_id": {"country": "PE", "number": "20512333797"},
    },
    "company.update-company-settings": {
        "company_id": "acme",
        "name": "Acme Mining S.A.C.",
        "tax_id": {"country": "PE", "number": "20512333797"},
        "time_zone": "America/Bogota",
        "currency": "USD",
        "serial_mask": "AC-99999",
        "allow_negative_stock": True,
    },
    "company.update-maintenance-policy": {
        "company_id": "acme",
        "policy": {
            "minimum_notice_days": 3,
            "maximum_open_jobs": 5,
            "types_for_managers": ["CALIBRATION"],
            "intervals": [{"category_id": "excavators", "days": 90}],
            "labour_rate": MONEY,
            "downtime_rate": MONEY,
        },
    },
    "company.update-depreciation-policy": {
        "company_id": "acme",
        "books": [{"book": "FINANCIAL", "plan": PLAN, "salvage_percent": "10"}],
    },
    "company.suspend": {"company_id": "acme", "reason": "unpaid"},
    "company.reactivate": {"company_id": "acme"},
    "user.add": {"user_id": "nina", "name": "Nina Soto", "email": "nina@acme.example", "roles": ["viewer"]},
    "user.change-user-roles": {"user_id": "tess", "roles": ["manager", "viewer"]},
    "user.deactivate": {"user_id": "tess", "reason": "left the company"},
    "user.reactivate": {"user_id": "tess"},
    "user.link-identity": {"user_id": "tess", "issuer": "https://login.example", "subject": "248289761001"},
    "user.unlink-identity": {"user_id": "tess"},
    "role.define": {"role": "driver", "permissions": ["equipment.move", "equipment.read"]},
    "role.change": {"role": "storekeeper", "permissions": ["equipment.move", "category.define"]},
    "role.remove": {"role": "storekeeper"},
    "key.create": {
        "key_id": "scales",
        "name": "Weighbridge",
        "public_key": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        "permissions": ["equipment.move", "equipment.read"],
        "expires_at": "2027-11-23T00:00:00Z",
    },
    "key.change": {
        "key_id": "plant-4",
        "name": "Plant four",
        "permissions": ["equipment.read"],
        "expires_at": "2027-11-23T00:00:00Z",
    },
    "key.revoke": {"key_id": "plant-4", "reason": "stolen"},
    "key.record-key-use": {"key_id": "plant-4"},
    "platform.admit-process": {
        "process_id": "timer-1",
        "public_key": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
        "vouches": ["system:planner"],
    },
    "platform.dismiss-process": {"process_id": "api-1", "reason": "replaced"},
    "category.define": {
        "category_id": "cranes",
        "name": "Cranes",
        "maintenance_interval_days": 180,
        "life_months": 180,
        "salvage_percent": "12.5",
    },
    "category.rename": {"category_id": "excavators", "name": "Diggers"},
    "category.archive": {"category_id": "excavators"},
    "equipment.create": {
        "equipment_id": "ex-8",
        "name": "Excavator 8",
        "serial_number": "EQ-2024-EX-000008",
        "category_id": "excavators",
        "manufacturer": "Caterpillar",
        "model": "320 GC",
        "manufacturer_serial": "CAT0320GCXYZ00123",
        "purchased_on": "2024-02-01",
        "in_service_on": "2024-03-01",
        "purchase_price": MONEY,
    },
    "equipment.void": {"equipment_id": "ex-7", "reason": "registered twice"},
    "equipment.rename": {"equipment_id": "ex-7", "name": "Digger", "instead_of": "Excavator 7"},
    "equipment.move": {"equipment_id": "ex-7", "place": "north-yard", "instead_of": "pit"},
    "equipment.schedule-maintenance": {
        "equipment_id": "ex-7",
        "job_id": "belts",
        "maintenance_type": "PREVENTIVE",
        "scheduled_date": "2026-12-01",
        "technician_id": "tess",
        "notes": "left and right",
        "expected_minutes": 90,
    },
    "equipment.reschedule-maintenance": {"equipment_id": "ex-7", "job_id": "oil", "scheduled_date": "2026-12-08"},
    "equipment.cancel-maintenance": {"equipment_id": "ex-7", "job_id": "oil", "reason": "not needed"},
    "equipment.start-maintenance": {"equipment_id": "ex-7", "job_id": "oil"},
    "equipment.complete-maintenance": {"equipment_id": "ex-7", "job_id": "oil"} | DONE,
    "equipment.record-maintenance": {"equipment_id": "ex-7", "job_id": "old", "maintenance_type": "CORRECTIVE"} | DONE,
    "equipment.report-breakdown": {
        "equipment_id": "ex-7",
        "breakdown_id": "pump",
        "happened_at": "2026-11-22T10:00:00Z",
        "description": "No pressure\nin the main pump",
    },
    "equipment.report-repaired": {
        "equipment_id": "ex-7",
        "breakdown_id": "hose",
        "repaired_by": "tess",
        "repaired_at": "2026-11-22T16:00:00Z",
        "labour_minutes": 90,
        "cost": MONEY,
        "cause": "Hose chafed through",
        "notes": "",
    },
    "equipment.record-meter-reading": {
        "equipment_id": "ex-7",
        "meter": "HOURS",
        "reading": "4210.5",
        "read_at": "2026-11-22T10:00:00Z",
        "replaced": True,
    },
    "equipment.assign": {
        "equipment_id": "ex-7",
        "assignee": {"kind": "user", "id": "tess"},
        "expected_return": "2026-12-24",
    },
    "equipment.return": {"equipment_id": "ex-7", "notes": "clean", "assignee": {"kind": "user", "id": "tess"}},
    "equipment.set-depreciation": {
        "equipment_id": "ex-7",
        "book": "FINANCIAL",
        "plan": PLAN,
        "cost": PRICE,
        "salvage": MONEY,
        "available_on": "2024-03-01",
    },
    "equipment.revise-depreciation": {
        "equipment_id": "ex-7",
        "book": "FINANCIAL",
        "period": "2024-05",
        "reason": "the engine was replaced",
        "plan": PLAN,
        "salvage": MONEY,
        "value": PRICE,
    },
    "equipment.post-depreciation": {
        "equipment_id": "ex-7",
        "book": "FINANCIAL",
        "period": "2024-03",
        "units": "120.5",
    },
    "equipment.hold-for-sale": {"equipment_id": "ex-7", "held_on": "2026-11-20"},
    "equipment.withdraw-from-sale": {"equipment_id": "ex-7", "withdrawn_on": "2026-11-22"},
    "equipment.retire": {"equipment_id": "ex-7", "reason": "worn out", "proceeds": MONEY},
    "part.define": {
        "part_id": "belt",
        "name": "Belt",
        "unit": "m",
        "minimum": "2.5",
        "reorder_quantity": "25",
    },
    "part.receive-stock": MOVED | {"quantity": "2.5", "unit_cost": {"amount": "0.0125", "currency": "PEN"}},
    "part.issue-stock": MOVED | FOR_JOB | {"quantity": "9"},
    "part.return-stock": MOVED | {"issue_id": "take", "quantity": "1"},
    "part.count-stock": MOVED | {"counted": "9.5"},
    "part.adjust-stock": MOVED | {"difference": "-0.5", "reason": "spilt"},
    "part.reserve-stock": MOVED | FOR_JOB | {"quantity": "2", "instead_of": "0"},
    "part.release-stock": MOVED | FOR_JOB | {"instead_of": "2"},
    "plan.define": {"plan_id": "monthly", "name": "Monthly check", "equipment_id": "ex-7", "terms": TERMS},
    "plan.change": {"plan_id": "weekly", "terms": TERMS},
    "plan.pause": {"plan_id": "weekly", "reason": "strike"},
    "plan.resume": {"plan_id": "weekly"},
    "plan.end": {"plan_id": "weekly", "reason": "sold"},
    "plan.record-occurrence": {"plan_id": "weekly", "date": "2026-11-23"},
    "plan.review": {"plan_id": "weekly"},
    "asset.import": {
        "asset_id": "legacy.4711",
        "import_id": "spring",
        "source": "legacy",
        "number": "4711",
        "record": {
            "name": "Wheel loader",
            "category_id": "excavators",
            "acquired_on": "2019-05-01",
            "state": "MAINTENANCE",
            "place": "north-yard",
            "cost": PRICE,
            "manufacturer": "Caterpillar",
            "model": "950",
            "manufacturer_serial": "CAT0950XYZ00123",
        },
    },
    "asset.undo-asset-import": {"asset_id": "legacy.4710", "import_id": "winter", "reason": "wrong file"},
    "letter.discard": {"letter_id": "commands-3-17", "reason": "its sender has sent it anew"},
    "letter.reopen": {"letter_id": "commands-3-17"},
    **SECRETS,
}

LOADER = AssetImported(
    asset_id="legacy.4710",
    import_id="winter",
    source="legacy",
    number="4710",
    serial_number="EQ-2019-EX-004710",
    record=AssetRecord(name="Loader", category_id="excavators", acquired_on=date(2019, 5, 1), state=AssetState.ACTIVE),
)

DISCARDED = LetterDiscarded(letter_id="commands-3-17", reason="its sender has sent it anew")

STORY = given(ACME, EXCAVATOR, policy(intervals=every(90)), scheduled(), FILTER, received(), PLANNED)
EMPTY = given()
ADMITTED = ProcessAdmitted(
    process_id="api-1", public_key="3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08", vouches=("user", "key")
)
STORIES = {
    "platform.admit-process": given(company="_platform-1"),
    "platform.dismiss-process": given(ADMITTED, company="_platform-1"),
    "company.create": EMPTY,
    "user.unlink-identity": given(
        ACME, IdentityLinked(user_id="tess", issuer="https://login.example", subject="248289761001")
    ),
    "user.reactivate": given(ACME, UserDeactivated(user_id="tess", reason="left the company")),
    "role.change": given(ACME, STOREKEEPER),
    "role.remove": given(ACME, STOREKEEPER),
    "key.change": given(ACME, PLANT),
    "key.revoke": given(ACME, PLANT),
    "key.record-key-use": given(ACME, PLANT),
    "equipment.void": given(ACME, EXCAVATOR),
    "equipment.report-repaired": given(ACME, EXCAVATOR, BROKEN),
    "equipment.retire": given(ACME, EXCAVATOR, scheduled(), BROKEN),
    "equipment.move": given(ACME, EXCAVATOR, EquipmentMoved(equipment_id="ex-7", place="pit")),
    "equipment.assign": given(ACME, EXCAVATOR),
    "equipment.return": given(ACME, EXCAVATOR, LENT),
    "equipment.set-depreciation": given(ACME, EXCAVATOR),
    "equipment.revise-depreciation": given(ACME, EXCAVATOR, depreciated(), postings(2)),
    "equipment.post-depreciation": given(
        ACME, EXCAVATOR, depreciated(method=Method.UNITS_OF_PRODUCTION, total_units="1000")
    ),
    "equipment.withdraw-from-sale": given(
        ACME, EXCAVATOR, EquipmentHeldForSale(equipment_id="ex-7", held_on=date(2026, 11, 20))
    ),
    "plan.resume": STORY.and_then([PlanPaused(plan_id="weekly", reason="strike")]),
    "plan.record-occurrence": STORY,
    "plan.review": STORY.and_then([NextOccurrencePlanned(plan_id="weekly")]),
    "part.return-stock": STORY.and_then([taken("2")]),
    "part.release-stock": STORY.and_then([reserved("2")]),
    "asset.undo-asset-import": given(ACME, LOADER),
    "letter.reopen": given(ACME, DISCARDED),
    "credential.issue-one-time-token": EMPTY,
    "credential.set-password": given(INVITED),
    "credential.change-password": SIGNED_IN,
    "credential.sign-in": SIGNED_IN,
    "credential.record-failed-sign-in": SIGNED_IN,
    "credential.refresh-session": SIGNED_IN,
    "credential.sign-out": SIGNED_IN,
    "credential.revoke-sessions": SIGNED_IN,
    "credential.enrol-totp": SIGNED_IN,
    "credential.confirm-totp": ENROLLED,
    "credential.remove-totp": ENROLLED,
    "company.reactivate": given(ACME, CompanySuspended(company_id="acme", reason="unpaid")),
}


def rule(permission: str) -> Rule[Any]:
    return next(rule for rule in RULES.values() if rule.permission == permission)


def story_for(permission: str) -> tuple[Story, str]:
    """A past in which the sample is right, and who may send it."""
    asked = rule(permission)
    system = [f"system:{name}" for name in asked.systems if not asked.roles]
    return STORIES.get(permission, STORY), OPERATOR if asked.operators else (system or [ADA])[0]


def about(permission: str) -> str:
    key = rule(permission).decider.key
    return str(FULL[permission][key])


def sent(permission: str) -> Answer:
    """The answer to the sample."""
    story, actor = story_for(permission)
    command = rule(permission).command.model_validate_json(json.dumps(FULL[permission]))
    return story.when(command, by=actor)


@cache
def events() -> dict[type[Event], Event]:
    """What the samples lead to: one event of each class."""
    late = STORY.when(RecordOccurrence(plan_id="weekly", date=TODAY), at=NOW + timedelta(days=7))
    facts = [*late.facts, *reuse().facts, *(fact for permission in FULL for fact in sent(permission).facts)]
    return {type(fact.event): fact.event for fact in facts}


def sample_of(event: type[Event]) -> Event:
    assert events().keys() == set(HOMES), "each event follows from a sample"
    return events()[event]
