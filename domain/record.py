"""What travels beside an event and what answers a command: plain data that views, API and lanes share."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.model import Event

#: A UUID as text, in its one canonical spelling: lanes and views compare and copy ids, and never compute with them.
UuidText = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class Recorded(NamedTuple):
    """An event of the journal with its place and origin. `position` is gap-free within `partition`, from 1."""

    event: Event
    id: str
    company_id: str
    aggregate: str
    aggregate_id: str
    version: int
    partition: int
    position: int
    recorded_at: datetime
    actor: str
    command_id: str
    correlation_id: str
    chain: str


class SetAside(NamedTuple):
    """A dead letter: what is known of the record that could not be processed, where it came from, and why it is here.

    `company_id` is NOBODY where the record names none. `retries` are the ids that attempts to send its command again
    have, in their order, and there are none where it holds no command.
    """

    company_id: str
    aggregate_id: str
    reason: str
    detail: str
    type: str | None
    command_id: str | None
    actor: str | None
    retries: tuple[str, ...]
    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    value: bytes | None
    header_names: tuple[str, ...]
    header_values: tuple[bytes | None, ...]
    aggregate: str = "letter"


#: Stands for the company of a record that names none; no company can have this id.
NOBODY = "-"


class Status(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"


class Outcome(BaseModel):
    """The one answer to one command. `first` and `last` are the positions of its events, absent where it has none;
    `position` is the last position of the partition, so that a reader can wait for it. `signed_by` is the key that its
    signature names, `origin` where it came from (see `topics.origin`); both as the command says it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    command_id: UuidText
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
    signed_by: str | None = None
    origin: str | None = None


class Audited(BaseModel):
    """What became of one command, kept for ever: who wished what, when, from where and under which key. Never what the
    command's data said. `sequence` is the position of its outcome among those of its `realm` and partition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    realm: str
    partition: int
    sequence: int
    command_id: UuidText
    type: str
    company_id: str
    aggregate: str
    aggregate_id: str
    actor: str
    status: Status
    code: str | None = None
    repeat: bool = False
    conflict: bool = False
    first: int | None = None
    last: int | None = None
    fingerprint: str
    key_id: str | None = None
    process_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    correlation_id: str
    recorded_at: datetime


class Void(NamedTuple):
    """A record in a place that does not count; what it tells stands elsewhere too."""

    company_id: str = ""
    aggregate: str = ""
    aggregate_id: str = ""
