"""What travels beside an event and what answers a command: plain data that views, API and lanes share."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.model import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of the journal with its place and origin. `position` is gap-free within `partition`, from 1."""

    event: Event
    id: UUID
    company_id: str
    aggregate: str
    aggregate_id: str
    version: int
    partition: int
    position: int
    recorded_at: datetime
    actor: str
    command_id: UUID
    correlation_id: str
    chain: str


class Status(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"


class Outcome(BaseModel):
    """The one answer to one command. `first` and `last` are the positions of its events, absent where it has none;
    `position` is the last position of the partition, so that a reader can wait for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: UUID
    type: str
    company_id: str
    aggregate: str
    aggregate_id: str
    actor: str
    status: Status
    code: str | None = None
    kind: str | None = None
    detail: str | None = None
    errors: tuple[dict[str, Any], ...] = ()
    version: int | None = None
    first: int | None = None
    last: int | None = None
    partition: int
    position: int
    fingerprint: str
    repeat: bool = False
    conflict: bool = False
    offset: int
    recorded_at: datetime
