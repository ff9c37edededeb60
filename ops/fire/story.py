"""What upstream systems send in a campaign, drawn from a seed: good commands and bad ones of one large company and many
small."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from domain.decider import TYPE_PREFIX, Actor
from ops.fire.raising import BOOM
from topics.catalogue import COMMANDS
from topics.cloudevents import Headers, Record, size_of
from topics.messages import CommandMessage, write_command

COMPANIES = [f"firm-{number}" for number in range(20)]
#: One company sends so much of everything.
HOT = 0.4
OVER_HTTP = 0.2
OPERATOR = Actor("operator", "root")
ADA = Actor("user", "ada")
RECENT = 300

#: Kind of what is sent -> how much of it there is. The rest is `good`; what is `refused` is no more than drawn.
SHARES = {"again": 0.05, "other-payload": 0.01, "mis-keyed": 0.05, "malformed": 0.01, "refused": 0.08}


class Order(NamedTuple):
    """One thing to send: a command, of what kind, over `kafka` or `http`, and the name of how its record is spoiled."""

    kind: str
    via: str
    command: CommandMessage
    spoiled: str = ""


def chosen(chance: Random) -> str:
    """A command id."""
    return str(UUID(int=chance.getrandbits(128), version=4))


def command(
    chance: Random, company: str, verb: str, subject: str, data: dict[str, Any], actor: Actor = ADA
) -> CommandMessage:
    """`verb` is `<aggregate>.<kebab-name>`, `subject` the aggregate's id."""
    aggregate = verb.partition(".")[0]
    return CommandMessage(
        id=chosen(chance),
        type=f"{TYPE_PREFIX}.{verb}.v1",
        company_id=company,
        aggregate=aggregate,
        aggregate_id=subject,
        actor=actor,
        data=json.dumps({f"{aggregate}_id": subject} | data).encode(),
        source="/upstreams/fire",
    )


def opening(chance: Random, company: str) -> Iterator[CommandMessage]:
    """What every company begins with."""
    admin = {"user_id": ADA.id, "name": "Ada", "email": "ada@example.com"}
    about = {"name": company.title(), "time_zone": "America/Lima", "currency": "PEN", "admin": admin}
    yield command(chance, company, "company.create-company", company, about, OPERATOR)
    yield command(chance, company, "category.define-category", "pump", {"name": "Pump"})
    for number in range(3):
        yield new_machine(chance, company, number)


def new_machine(chance: Random, company: str, number: int) -> CommandMessage:
    machine = f"m-{number}"
    data = {
        "name": machine.upper(),
        "serial_number": f"EQ-2020-EX-{number:06}",
        "category_id": "pump",
        "in_service_on": "2020-01-01",
    }
    return command(chance, company, "equipment.create-equipment", machine, data)


class Story:
    """An endless mixture. `shares` may be changed while it is told: poison and rules that raise come with their fault.

    The same seed tells the same story as long as nobody changes the shares.
    """

    def __init__(self, seed: int) -> None:
        self.shares = dict(SHARES)
        self._chance = Random(seed)  # noqa: S311 - to be repeated
        self._machines = dict.fromkeys(COMPANIES, 3)
        self._sent: deque[CommandMessage] = deque(maxlen=RECENT)

    def openings(self) -> Iterator[Order]:
        for company in COMPANIES:
            yield from (Order("good", "kafka", each) for each in opening(self._chance, company))

    def __iter__(self) -> Iterator[Order]:
        while True:
            yield self._next()

    def _next(self) -> Order:
        chance = self._chance
        company = COMPANIES[0] if chance.random() < HOT else chance.choice(COMPANIES)
        via = "http" if chance.random() < OVER_HTTP else "kafka"
        kind = self._kind()
        if kind == "good" or not self._sent:
            wish = chance.choice(WISHES)(self, chance, company)
            self._sent.append(wish)
            return Order("good", via, wish)
        return TOLD[kind](self, chance, company, via)

    def _kind(self) -> str:
        drawn = self._chance.random()
        for kind, share in self.shares.items():
            drawn -= share
            if drawn < 0:
                return kind
        return "good"

    # -- wishes ------------------------------------------------------------------------------------------------------

    def create(self, chance: Random, company: str) -> CommandMessage:
        self._machines[company] += 1
        return new_machine(chance, company, self._machines[company] - 1)

    def rename(self, chance: Random, company: str) -> CommandMessage:
        data = {"name": f"Pump {chance.randrange(10**6)}"}
        return command(chance, company, "equipment.rename-equipment", self._machine(chance, company), data)

    def schedule(self, chance: Random, company: str) -> CommandMessage:
        job = f"j-{chance.randrange(10**9)}"
        data = {"job_id": job, "maintenance_type": "PREVENTIVE", "scheduled_date": "2030-01-01"}
        return command(chance, company, "equipment.schedule-maintenance", self._machine(chance, company), data)

    def move(self, chance: Random, company: str) -> CommandMessage:
        data = {"place": f"yard-{chance.randrange(9)}"}
        return command(chance, company, "equipment.move-equipment", self._machine(chance, company), data)

    def define(self, chance: Random, company: str) -> CommandMessage:
        category = f"kind-{chance.randrange(10**9)}"
        return command(chance, company, "category.define-category", category, {"name": category.title()})

    def _machine(self, chance: Random, company: str) -> str:
        return f"m-{chance.randrange(self._machines[company])}"

    # -- what is not simply good -------------------------------------------------------------------------------------

    def again(self, chance: Random, company: str, via: str) -> Order:
        return Order("again", via, chance.choice(self._sent))

    def other_payload(self, chance: Random, company: str, via: str) -> Order:
        first = chance.choice(self._sent)
        other = self.rename(chance, first.company_id)
        return Order("other-payload", via, other._replace(id=first.id))

    def mis_keyed(self, chance: Random, company: str, via: str) -> Order:
        return Order("mis-keyed", "kafka", chance.choice(WISHES)(self, chance, company))

    def malformed(self, chance: Random, company: str, via: str) -> Order:
        return Order("malformed", "kafka", self.rename(chance, company), chance.choice(sorted(MALFORMED)))

    def poison(self, chance: Random, company: str, via: str) -> Order:
        return Order("poison", "kafka", self.rename(chance, company), chance.choice(sorted(POISON)))

    def refused(self, chance: Random, company: str, via: str) -> Order:
        known, unknown = self._machine(chance, company), f"x-{chance.randrange(10**6)}"
        taken = new_machine(chance, company, int(known[2:]))
        renamed = command(chance, company, "equipment.rename-equipment", unknown, {"name": "Nobody"})
        stale = self.rename(chance, company)._replace(expected_version=9999)
        return Order("refused", via, chance.choice((taken, renamed, stale)))

    def raising(self, chance: Random, company: str, via: str) -> Order:
        machine = self._machine(chance, company)
        return Order("poison", via, command(chance, company, "equipment.rename-equipment", machine, {"name": BOOM}))

    def large(self, chance: Random) -> Order:
        """A record of just the size that the topic takes, which is refused for its name."""
        return Order("large", "kafka", self.rename(chance, COMPANIES[0]), "as large as the topic takes")


Wish = Callable[[Story, Random, str], CommandMessage]
WISHES: tuple[Wish, ...] = (Story.create, Story.rename, Story.rename, Story.schedule, Story.move, Story.define)
TOLD: dict[str, Callable[[Story, Random, str, str], Order]] = {
    "again": Story.again,
    "other-payload": Story.other_payload,
    "mis-keyed": Story.mis_keyed,
    "malformed": Story.malformed,
    "refused": Story.refused,
    "poison": Story.poison,
    "raising": Story.raising,
}


def record_of(order: Order, prefix: str, partition: int) -> Record:
    """The order as its record, spoiled as it says."""
    key, value, headers = write_command(order.command)
    record = Record(COMMANDS.named(prefix), partition, key, value, headers)
    return SPOILED[order.spoiled](record) if order.spoiled else record


Spoil = Callable[[Record], Record]


def valued(value: bytes | None) -> Spoil:
    return lambda record: record._replace(value=value)


def without(name: str) -> Spoil:
    return lambda record: record._replace(headers=tuple(pair for pair in record.headers if pair[0] != name))


def headed(name: str, *values: bytes | None) -> Spoil:
    def spoil(record: Record) -> Record:
        others: Headers = without(name)(record).headers
        return record._replace(headers=(*others, *((name, value) for value in values)))

    return spoil


def grown(record: Record) -> Record:
    """As large as the topic takes."""
    start, end = b'{"equipment_id": "m-0", "name": "', b'"}'
    empty = record._replace(value=start + end)
    return record._replace(value=start + b"x" * (COMMANDS.limit - size_of(empty)) + end)


#: Its id can be read, so its sender gets an answer.
MALFORMED: dict[str, Spoil] = {
    "cut off": valued(b'{"equipment_id": "m-'),
    "no object": valued(b"7"),
    "no type": without("ce_type"),
    "no subject": without("ce_subject"),
    "no actor": headed("ce_actor", b"root"),
    "other version": headed("ce_specversion", b"0.3"),
    "unknown type": headed("ce_type", b"com.bitcorp.erp.equipment.paint-equipment.v1"),
    "unknown field": valued(b'{"equipment_id": "m-0", "name": "X", "colour": "red"}'),
}
#: What foreign hands may write and nobody may stumble over; some of it cannot be answered.
POISON: dict[str, Spoil] = {
    "no id": without("ce_id"),
    "id is no uuid": headed("ce_id", b"42"),
    "id twice": headed("ce_id", b"0192f1c0-0000-7000-8000-000000000001", b"0192f1c0-0000-7000-8000-000000000002"),
    "header without value": headed("ce_type", None),
    "header not UTF-8": headed("ce_source", b"\xff\xfe"),
    "no key": lambda record: record._replace(key=None),
    "key of no company": lambda record: record._replace(key=b"../Acme\x00"),
    "tombstone": valued(None),
    "deep": valued(b'{"name": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "key repeated": valued(b'{"name": "a", "name": "b"}'),
    "lone surrogate": valued(b'{"equipment_id": "m-0", "name": "\\ud800"}'),
    "NUL": valued(b'{"equipment_id": "m-0", "name": "a\\u0000b"}'),
    "infinite": valued(b'{"equipment_id": "m-0", "name": 1E+400}'),
    "long text": valued(b'{"equipment_id": "m-0", "name": "' + b"x" * 1_000_000 + b'"}'),
    "garbage": valued(bytes(range(256))),
}
SPOILED: dict[str, Spoil] = {**MALFORMED, **POISON, "as large as the topic takes": grown}
