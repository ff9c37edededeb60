"""Commands as upstream systems write them, for the tests of lanes: small companies and what they order."""

import json
from itertools import count, islice
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from domain.decider import Actor
from topics.catalogue import COMMANDS, partition_of
from topics.cloudevents import Headers, Record
from topics.messages import CommandMessage, write_command

OPERATOR = Actor("operator", "root")
ADA = Actor("user", "ada")
#: 2026-01-01T00:00:00Z in milliseconds, when the broker got the first command.
MORNING = 1_767_225_600_000
#: What the sender's clock says; nobody decides by it.
LONG_AGO = b"2001-01-01T00:00:00Z"


def uuid_of(name: object) -> str:
    return str(uuid5(NAMESPACE_URL, f"order:{name}"))


def company_on(partition: int, partitions: int, number: int = 0) -> str:
    """The id of a company whose key belongs to the partition."""
    names = (f"firm-{n}" for n in count())
    fitting = (name for name in names if partition_of(name.encode(), partitions) == partition)
    return next(islice(fitting, number, None))


def order(
    company: str,
    verb: str,
    subject: str,
    data: dict[str, Any],
    *,
    actor: Actor = ADA,
    command_id: str | None = None,
    **more: Any,
) -> CommandMessage:
    """`verb` is `<aggregate>.<kebab-name>`, `subject` the aggregate's id. The same order has the same command id."""
    aggregate = verb.partition(".")[0]
    data = {f"{aggregate}_id": subject, **data}
    return CommandMessage(
        id=uuid_of((company, verb, subject, sorted(data.items(), key=str)) if command_id is None else command_id),
        type=f"com.bitcorp.erp.{verb}.v1",
        company_id=company,
        aggregate=aggregate,
        aggregate_id=subject,
        actor=actor,
        data=json.dumps(data).encode(),
        source="/upstreams/test",
        **more,
    )


def create_company(company: str, **more: Any) -> CommandMessage:
    """Its first admin is ADA."""
    admin = {"user_id": "ada", "name": "Ada", "email": "ada@example.com"}
    data = {"name": company.title(), "time_zone": "UTC", "currency": "EUR", "admin": admin}
    return order(company, "company.create-company", company, data, actor=OPERATOR, **more)


def define_category(company: str, category: str = "pump", **more: Any) -> CommandMessage:
    return order(company, "category.define-category", category, {"name": category.title()}, **more)


def create_equipment(company: str, equipment: str, number: int, **more: Any) -> CommandMessage:
    data = {
        "name": equipment.upper(),
        "serial_number": f"EQ-2020-EX-{number:06}",
        "category_id": "pump",
        "in_service_on": "2020-01-01",
    }
    return order(company, "equipment.create-equipment", equipment, data, **more)


def rename(company: str, equipment: str, name: str, **more: Any) -> CommandMessage:
    return order(company, "equipment.rename-equipment", equipment, {"name": name}, **more)


def schedule(company: str, equipment: str, job: str, **more: Any) -> CommandMessage:
    data = {"job_id": job, "maintenance_type": "PREVENTIVE", "scheduled_date": "2030-01-01"}
    return order(company, "equipment.schedule-maintenance", equipment, data, **more)


def opening(company: str) -> list[CommandMessage]:
    """What every company begins with."""
    return [create_company(company), define_category(company)]


def record_of(
    command: CommandMessage,
    *,
    prefix: str = "sim",
    partition: int = 0,
    offset: int = 0,
    timestamp: int = MORNING,
    value: bytes | None = None,
    without: str = "",
    extra: Headers = (),
) -> Record:
    """The command as the broker holds it; spoiled by another value, a missing header or additional ones."""
    key, data, headers = write_command(command)
    kept = tuple((name, LONG_AGO if name == "ce_time" else said) for name, said in headers if name != without)
    return Record(
        COMMANDS.named(prefix), partition, key, data if value is None else value, (*kept, *extra), offset, timestamp
    )
