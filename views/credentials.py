"""What the API compares passwords and codes with: of each person the hash that counts and what goes with it.

No role but the sign-in's own reads this table, and what a lane decides never rests on it: whoever acts upon a row names
the version that it read.
"""

from dataclasses import dataclass

from sqlalchemy import Boolean, Column, Integer, Table, Text, select

from domain.credential import (
    OneTimeTokenIssued,
    PasswordSet,
    RefreshTokenReused,
    SessionRefreshed,
    SessionsRevoked,
    SignedIn,
    SignedOut,
    SignInFailed,
    TotpConfirmed,
    TotpEnrolled,
    TotpRemoved,
)
from domain.record import Recorded
from views.reading import Reader
from views.tables import METADATA, key, revision
from views.view import Change, View
from views.writing import replacing, updating

table = Table(
    "credentials",
    METADATA,
    key("company_id"),
    key("user_id"),
    Column("one_time_digest", Text),
    Column("password_hash", Text),
    Column("password_version", Integer, nullable=False),
    Column("enrolment_id", Text),
    Column("totp_secret", Text),
    Column("totp_confirmed", Boolean, nullable=False),
    *revision(),
    info={"secret": True},
)

credentials = View("credentials", table)

ISSUED = replacing(table, "one_time_digest", password_version=0, totp_confirmed=False)
PASSWORD = updating(table, "one_time_digest", "password_hash", "password_version")
SEEN = updating(table)
TOTP = updating(table, "enrolment_id", "totp_secret", "totp_confirmed")
CONFIRMED = updating(table, "totp_confirmed")


@credentials.on
def issued(event: OneTimeTokenIssued, fact: Recorded) -> Change:
    return ISSUED(fact, user_id=event.user_id, one_time_digest=event.digest)


@credentials.on
def password_set(event: PasswordSet, fact: Recorded) -> Change:
    return PASSWORD(
        fact, user_id=event.user_id, password_hash=event.password_hash, password_version=event.password_version
    )


@credentials.on
def seen(
    event: SignedIn | SignInFailed | SessionRefreshed | RefreshTokenReused | SignedOut | SessionsRevoked,
    fact: Recorded,
) -> Change:
    return SEEN(fact, user_id=event.user_id)


@credentials.on
def enrolled(event: TotpEnrolled, fact: Recorded) -> Change:
    return TOTP(
        fact,
        user_id=event.user_id,
        enrolment_id=event.enrolment_id,
        totp_secret=event.secret,
        totp_confirmed=False,
    )


@credentials.on
def confirmed(event: TotpConfirmed, fact: Recorded) -> Change:
    return CONFIRMED(fact, user_id=event.user_id, totp_confirmed=True)


@credentials.on
def removed(event: TotpRemoved, fact: Recorded) -> Change:
    return TOTP(fact, user_id=event.user_id, totp_confirmed=False)


@dataclass(frozen=True)
class Held:
    """What is held of a person; nothing where nothing was ever issued."""

    one_time_digest: str | None = None
    password_hash: str | None = None
    password_version: int = 0
    enrolment_id: str | None = None
    totp_secret: str | None = None
    totp_confirmed: bool = False


async def held(reader: Reader, user_id: str) -> Held:
    """The row of a person of the reader's company."""
    columns = [table.c[name] for name in Held.__dataclass_fields__]
    wanted = select(*columns).where(table.c.company_id == reader.company_id, table.c.user_id == user_id)
    row = (await reader.connection.execute(wanted)).mappings().one_or_none()
    return Held(**row) if row else Held()
