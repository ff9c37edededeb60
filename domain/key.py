"""A key of a system of the company's own: what it signs and sends is believed, within its permissions, until it ends.

The company keeps the public half alone. Who holds the secret half is the actor `key:<key_id>`.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from domain.decider import Context, Decider, Kind, Refusal
from domain.model import ADMINS, UNDONE, Command, Event, Instant, Name, Reason, Role, State
from domain.role import Permissions, check_permissions, permission_unknown

only_admins_make_keys = Refusal(
    "only-admins-make-keys", Kind.FORBIDDEN, "Only an admin of the company makes keys and says what they permit."
)
key_revoked = Refusal("key-revoked", Kind.CONFLICT, "The key is revoked, and stays so.")
key_expiry_passed = Refusal("key-expiry-passed", Kind.INVALID, "The key would have expired already.")

#: The agent that tells when a key opened the API.
DOORKEEPER = "doorkeeper"
#: A use is recorded when the last one recorded is at least so old.
USES_APART = timedelta(hours=1)
#: Who gives rights is a person: no key makes keys, or changes what roles permit.
FOR_PEOPLE = re.compile(r"(key|role)\.(?!read$)")


def _ed25519(text: str) -> str:
    if urlsafe_b64encode(urlsafe_b64decode(text + "=")).decode().rstrip("=") != text:
        raise ValueError("not the one spelling of 32 bytes in base64url")
    return text


#: Without an underscore, which ends it in the secret's text.
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$"), Field(examples=["plant-4"])]
PublicKey = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$"),
    AfterValidator(_ed25519),
    Field(
        description="Ed25519 public key: its 32 bytes in base64url without padding",
        examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"],
    ),
]
Expiry = Annotated[Instant | None, Field(description="From when on the key opens nothing; absent: no end")]


class KeyCreated(Event):
    key_id: KeyId
    name: Name
    public_key: PublicKey
    permissions: Permissions
    expires_at: Expiry = None

    begins: ClassVar[bool] = True

    def inverse(self) -> Command:
        return RevokeKey(key_id=self.key_id, reason=UNDONE)


class KeyChanged(Event):
    """Name, permissions and expiry are these from now on."""

    key_id: KeyId
    name: Name
    permissions: Permissions
    expires_at: Expiry = None


class KeyRevoked(Event):
    key_id: KeyId
    reason: Reason


class KeyUsed(Event):
    key_id: KeyId


KeyEvent = KeyCreated | KeyChanged | KeyRevoked | KeyUsed


class Key(State):
    name: str = ""
    public_key: str = ""
    permissions: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked: bool = False
    used_at: datetime | None = None

    def opens_at(self, moment: datetime) -> bool:
        """Whether what it signs is believed at that time."""
        return bool(self.public_key) and not self.revoked and (self.expires_at is None or moment < self.expires_at)


def evolve(found: Key, event: KeyEvent) -> Key:
    match event:
        case KeyCreated():
            return found.but(public_key=event.public_key, **_terms(event))
        case KeyChanged():
            return found.but(**_terms(event))
        case KeyRevoked():
            return found.but(revoked=True)
        case KeyUsed():
            return found.but(used_at=event.effective_at)
        case _:
            assert_never(event)


def _terms(event: "KeyCreated | KeyChanged | ChangeKey") -> dict[str, object]:
    permissions = tuple(sorted(event.permissions))
    return {"name": event.name, "permissions": permissions, "expires_at": event.expires_at}


key = Decider("key", key="key_id", path="keys", initial=Key(), evolve=evolve)


class CreateKey(Command):
    """Let a system of the company send commands and read views with a key of its own; you keep its secret half."""

    key_id: KeyId
    name: Name
    public_key: PublicKey
    permissions: Permissions
    expires_at: Expiry = None


@key.creates(ADMINS)
def create_key(found: Key, cmd: CreateKey, context: Context) -> Iterator[KeyCreated]:
    _check(cmd, context)
    yield KeyCreated(**vars(cmd))


def _check(cmd: "CreateKey | ChangeKey", context: Context) -> None:
    """Raises where the actor may not say what a key permits, or no key may permit it."""
    if Role.ADMIN not in context.roles:
        raise only_admins_make_keys()
    check_permissions(cmd.permissions, context)
    if kept := sorted(filter(FOR_PEOPLE.match, cmd.permissions)):
        raise permission_unknown(f"No key may hold {', '.join(map(repr, kept[:10]))}.")
    if cmd.expires_at is not None and cmd.expires_at <= context.now:
        raise key_expiry_passed()


class ChangeKey(Command):
    """Give a key another name, other permissions and another expiry, all three as they shall be from now on."""

    key_id: KeyId
    name: Name
    permissions: Permissions
    expires_at: Expiry = None


@key.decides(ADMINS)
def change_key(found: Key, cmd: ChangeKey, context: Context) -> Iterator[KeyChanged]:
    if found.revoked:
        raise key_revoked()
    if found.but(**_terms(cmd)) == found:
        return  # asked twice, changed once
    _check(cmd, context)
    yield KeyChanged(**vars(cmd))


class RevokeKey(Command):
    """Believe a key no more, from this moment on and for ever; also commands of its own that are on their way."""

    key_id: KeyId
    reason: Reason


@key.decides(ADMINS)
def revoke_key(found: Key, cmd: RevokeKey, context: Context) -> Iterator[KeyRevoked]:
    if not found.revoked:  # asked twice, revoked once
        yield KeyRevoked(**vars(cmd))


class RecordKeyUse(Command):
    """Tell that a key has opened the API; recorded once an hour at most."""

    key_id: KeyId


@key.decides(ADMINS, systems=(DOORKEEPER,))
def record_key_use(found: Key, cmd: RecordKeyUse, context: Context) -> Iterator[KeyUsed]:
    if found.opens_at(context.now) and (found.used_at is None or context.now - found.used_at >= USES_APART):
        yield KeyUsed(key_id=cmd.key_id)
