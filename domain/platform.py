"""Processes of the platform itself, which send commands for others: the API, workers, operators' shells.

Each partition has a company of the platform's own, `_platform-<n>`, whose only things these are. So the lane of the
partition knows whom to believe from the same log, in the same order, as all else that it decides.
"""

import re
from collections.abc import Iterator
from typing import Annotated, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from domain.decider import Actor, Context, Decider
from domain.key import PublicKey
from domain.model import Command, Event, Id, Reason, State, each_once

#: Their names.
OWN_COMPANY = re.compile(r"_platform-[0-9]{1,9}")


def is_own(company_id: str) -> bool:
    """Whether it is a company of the platform's own: no other id begins so."""
    return company_id.startswith("_")


Vouched = Annotated[
    str,
    StringConstraints(pattern=r"^(user|key|operator|system:[a-z][a-z0-9-]{0,63})$"),
    Field(description="A kind of actor, or an agent of the platform's", examples=["user", "system:planner"]),
]
Vouches = Annotated[tuple[Vouched, ...], Field(min_length=1, max_length=20), AfterValidator(each_once)]
ExchangeKey = Annotated[PublicKey, Field(description="X25519 public key: its 32 bytes in base64url without padding")]


class ProcessAdmitted(Event):
    process_id: Id
    public_key: ExchangeKey
    vouches: Vouches


class ProcessDismissed(Event):
    process_id: Id
    reason: Reason


PlatformEvent = ProcessAdmitted | ProcessDismissed


class Process(State):
    public_key: str = ""
    vouches: tuple[str, ...] = ()

    def speaks_for(self, actor: Actor) -> bool:
        """Whether it is believed when it says that the actor has sent a command."""
        return actor.kind in self.vouches or str(actor) in self.vouches


def evolve(found: Process, event: PlatformEvent) -> Process:
    match event:
        case ProcessAdmitted(public_key=public_key, vouches=vouches):
            return Process(public_key=public_key, vouches=tuple(sorted(vouches)))
        case ProcessDismissed():
            return Process()
        case _:
            assert_never(event)


platform = Decider("platform", key="process_id", path="", initial=Process(), evolve=evolve)


class AdmitProcess(Command):
    """Believe a process of the platform when it says who has sent a command; `bitcorp keys apply` sends it."""

    process_id: Id
    public_key: ExchangeKey
    vouches: Vouches


@platform.decides(operators=True, new=True)
def admit_process(found: Process, cmd: AdmitProcess, context: Context) -> Iterator[ProcessAdmitted]:
    if found != Process(public_key=cmd.public_key, vouches=tuple(sorted(cmd.vouches))):
        yield ProcessAdmitted(**vars(cmd))


class DismissProcess(Command):
    """Believe a process no more, from this moment on; also what it has sent and is not decided yet."""

    process_id: Id
    reason: Reason


@platform.decides(operators=True)
def dismiss_process(found: Process, cmd: DismissProcess, context: Context) -> Iterator[ProcessDismissed]:
    if found.public_key:  # asked twice, dismissed once
        yield ProcessDismissed(**vars(cmd))
