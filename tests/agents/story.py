"""What upstream systems send in a simulation: a mixture of good and bad commands, drawn from the seed."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from tests.agents.broker import PARTITIONS, PREFIX
from tests.agents.orders import (
    company_on,
    create_equipment,
    define_category,
    opening,
    order,
    record_of,
    rename,
    schedule,
    uuid_of,
)
from topics.catalogue import partition_of
from topics.cloudevents import Record
from topics.messages import CommandMessage

#: A machine of this name makes its rule raise.
BOOM = "boom"


def story(chance: Random, orders: int, prefix: str = PREFIX, partitions: int = PARTITIONS) -> Iterator[Record]:
    """What upstream systems send: companies, machines, wishes good and bad, repeats, and commands gone astray."""
    companies = [company_on(partition, partitions) for partition in range(partitions)]
    as_sent = partial(_as_sent, prefix, partitions)
    sent = [command for company in companies for command in opening(company)]
    yield from map(as_sent, sent)
    for number in range(orders):
        command = chance.choice(ORDERS)(chance, chance.choice(companies), number)
        again = chance.choice(sent)
        kind = chance.random()
        if kind < 0.15:
            yield as_sent(again)
        elif kind < 0.2:
            yield as_sent(command._replace(id=again.id, company_id=again.company_id))
        elif kind < 0.3:
            yield as_sent(command, astray=True)
        elif kind < 0.4:
            yield as_sent(command, **chance.choice(SPOILED))
        else:
            sent.append(command)
            yield as_sent(command)


def _as_sent(prefix: str, partitions: int, command: CommandMessage, astray: bool = False, **spoiled: Any) -> Record:
    partition = partition_of(command.company_id.encode(), partitions)
    return record_of(command, prefix=prefix, partition=(partition + astray) % partitions, **spoiled)


SPOILED: tuple[dict[str, Any], ...] = (
    {"value": b"{"},
    {"value": b'{"equipment_id": 7}'},
    {"without": "ce_id"},
    {"without": "ce_type"},
    {"extra": (("ce_expectedversion", b"99"),)},
    {"extra": (("ce_expectedversion", b"none"),)},
)

Order = Callable[[Random, str, int], CommandMessage]
ORDERS: tuple[Order, ...] = (
    lambda chance, company, number: create_equipment(company, f"m-{number}", number),
    lambda chance, company, number: create_equipment(
        company, _machine(chance), chance.randint(0, 5), command_id=uuid_of(number)
    ),
    lambda chance, company, number: rename(company, _machine(chance), f"Name {number}"),
    lambda chance, company, number: rename(company, _machine(chance), BOOM, command_id=uuid_of(number)),
    lambda chance, company, number: schedule(
        company, _machine(chance), f"j-{chance.randint(0, 9)}", command_id=uuid_of(number)
    ),
    lambda chance, company, number: define_category(
        company, f"kind-{chance.randint(0, 3)}", command_id=uuid_of(number)
    ),
    lambda chance, company, number: order(
        company, "equipment.paint", "m-1", {"colour": "red"}, command_id=uuid_of(number)
    ),
)


def _machine(chance: Random) -> str:
    return f"m-{chance.randint(0, 9)}"
