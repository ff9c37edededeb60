"""`bitcorp send`: options computed from the command's class, read strictly, with every wrong one named."""

import json
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from domain import OFFERED
from domain.charges import Method
from domain.company import UpdateMaintenancePolicy
from domain.decider import kebab
from domain.depreciation import Plan
from domain.equipment import RecordMaintenance, ScheduleMaintenance, SetDepreciation
from domain.maintenance import MaintenanceType
from domain.periods import Convention
from ops.errors import Fault
from ops.send import Envelope, as_typed, message_of
from tests.ops.shell import Shell

RULE = next(rule for rule in OFFERED.values() if rule.command is ScheduleMaintenance)
JOB = {"equipment_id": "EX-7", "job_id": "j1", "maintenance_type": "PREVENTIVE", "scheduled_date": "2030-01-02"}


@pytest.mark.thorough
@pytest.mark.parametrize("rule", OFFERED.values(), ids=lambda rule: rule.verb)
def test_help_lists_the_fields_of_the_command_and_its_permission(bitcorp: Shell, rule: Any) -> None:
    said = bitcorp("send", kebab(rule.command.__name__), "--help")
    assert said.code == 0
    for name in rule.command.model_fields:
        assert name.replace("_", "-") in said.text
    assert rule.permission in said.text
    assert "--actor" in said.text


def test_a_command_is_read_as_strictly_as_from_json() -> None:
    assert as_typed(ScheduleMaintenance, JOB) == ScheduleMaintenance(
        equipment_id="EX-7", job_id="j1", maintenance_type=MaintenanceType.PREVENTIVE, scheduled_date=date(2030, 1, 2)
    )
    with pytest.raises(ValidationError):
        as_typed(ScheduleMaintenance, JOB | {"scheduled_date": "2030"})


def test_numbers_are_typed_as_text_and_choices_in_either_case() -> None:
    done = {**JOB, "completed_by": "ann", "performed_at": "2026-01-02T10:00:00Z", "labour_minutes": "90"}
    del done["scheduled_date"]
    read = as_typed(RecordMaintenance, done | {"maintenance_type": "preventive"})
    assert isinstance(read, RecordMaintenance)
    assert (read.labour_minutes, read.maintenance_type) == (90, MaintenanceType.PREVENTIVE)
    policy = {"types_for_managers": ["Calibration", "PREVENTIVE"]}
    asked = as_typed(UpdateMaintenancePolicy, {"company_id": "acme", "policy": policy})
    assert isinstance(asked, UpdateMaintenancePolicy)
    assert asked.policy.types_for_managers == (MaintenanceType.CALIBRATION, MaintenanceType.PREVENTIVE)


def test_choices_of_several_words_are_typed_as_help_shows_them() -> None:
    plan = {"method": "straight-line", "life_months": "12", "convention": "half_year"}
    read = as_typed(SetDepreciation, {"equipment_id": "EX-7", "book": "financial", "plan": plan})
    assert isinstance(read, SetDepreciation)
    assert read.plan == Plan(method=Method.STRAIGHT_LINE, life_months=12, convention=Convention.HALF_YEAR)


def test_nested_values_are_read_too() -> None:
    policy = {"minimum_notice_days": "3", "types_for_managers": ["calibration"]}
    read = as_typed(UpdateMaintenancePolicy, {"company_id": "acme", "policy": policy})
    assert isinstance(read, UpdateMaintenancePolicy)
    assert read.policy.minimum_notice_days == 3
    assert read.policy.types_for_managers == (MaintenanceType.CALIBRATION,)


@pytest.mark.parametrize(
    "wrong", [{"labour_minutes": "many"}, {"labour_minutes": "1.5"}, {"performed_at": "yesterday"}]
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, str]) -> None:
    done = {**JOB, "completed_by": "ann", "performed_at": "2026-01-02T10:00:00Z"} | wrong
    del done["scheduled_date"]
    with pytest.raises(ValidationError):
        as_typed(RecordMaintenance, done)


def test_every_wrong_option_is_named_at_once(bitcorp: Shell) -> None:
    said = bitcorp(
        *("send", "schedule-maintenance", "--company", "acme", "--actor", "user:ann", "--equipment-id", "EX/7"),
        *("--job-id", "j1", "--maintenance-type", "sometimes", "--scheduled-date", "soon"),
    )
    assert said.code == 2
    for option in ("--equipment-id:", "--maintenance-type:", "--scheduled-date:"):
        assert option in said.text
    assert "errors.pydantic.dev" not in said.text


def test_a_missing_field_is_named(bitcorp: Shell) -> None:
    said = bitcorp("send", "rename-equipment", "--company", "acme", "--actor", "user:ann", "--name", "Big one")
    assert said.code == 2
    assert "--equipment-id" in said.text


def test_the_message_says_who_sends_what_to_whom() -> None:
    command = as_typed(ScheduleMaintenance, JOB)
    envelope = Envelope(actor="user:ann", company="acme", id=UUID(int=7), expected_version=3)
    message = message_of(RULE, command, envelope)
    assert (message.company_id, message.aggregate, message.aggregate_id) == ("acme", "equipment", "EX-7")
    assert (str(message.actor), message.id, message.expected_version) == ("user:ann", str(UUID(int=7)), 3)
    assert json.loads(message.data) == JOB


def test_a_command_that_names_its_company_needs_no_option_for_it() -> None:
    rule = next(rule for rule in OFFERED.values() if rule.command is UpdateMaintenancePolicy)
    command = as_typed(UpdateMaintenancePolicy, {"company_id": "acme", "policy": {}})
    assert message_of(rule, command, Envelope(actor="user:ann")).company_id == "acme"


def test_a_command_without_a_company_is_refused() -> None:
    with pytest.raises(Fault, match="--company"):
        message_of(RULE, as_typed(ScheduleMaintenance, JOB), Envelope(actor="user:ann"))


def test_an_actor_that_is_nobody_is_refused() -> None:
    with pytest.raises(Fault, match="--actor ann is nobody"):
        message_of(RULE, as_typed(ScheduleMaintenance, JOB), Envelope(actor="ann", company="acme"))
