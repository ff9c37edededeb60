"""Access tokens: JWTs signed with Ed25519, and nothing else.

`sub` is the id of a user or an operator, `actor` says which of both, `company` is the user's company, `sid` the session
that it came from, if any. A token is the only place from which the API takes the company of a request.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import TypeAdapter, ValidationError

from domain.decider import Actor
from domain.model import CompanyId
from topics.settings import Settings

ALGORITHM = "EdDSA"
TYPE = "at+jwt"
LONGEST = 4096
LEEWAY = timedelta(seconds=30)
EXPIRED = "the token has expired"
#: Tokens that are remembered as good.
REMEMBERED = 5_000
REQUIRED = ("exp", "sub", "aud", "iss", "actor")
SESSION_ID = re.compile(r"[0-9a-f]{32}")
PEM_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)

_company_id: TypeAdapter[str] = TypeAdapter(CompanyId)

Keys = Mapping[str, Ed25519PublicKey]


class BadToken(Exception):
    """The token opens nothing; the text says why without repeating it."""


class NoSigningKey(Exception):
    """There is no private key to sign tokens with."""


@dataclass(frozen=True)
class Principal:
    """Who sends a request, for which company (operators belong to none), and in which session."""

    actor: Actor
    company_id: str | None
    session: str | None = None
    expires_at: datetime | None = field(default=None, compare=False)


def mint(
    settings: Settings,
    actor: Actor,
    company_id: str | None,
    lifetime: timedelta = timedelta(hours=1),
    session: str | None = None,
) -> str:
    """A token for a user of a company, or for an operator (company None). Raises NoSigningKey, ValueError."""
    if (actor.kind, company_id is None) not in (("user", False), ("operator", True)):
        raise ValueError("a token is for a user of a company, or for an operator without a company")
    now = datetime.now(UTC)
    claims = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": actor.id,
        "actor": actor.kind,
        "iat": now,
        "exp": now + lifetime,
        "jti": secrets.token_hex(12),
    }
    if company_id is not None:
        claims["company"] = _company_id.validate_python(company_id)
    if session is not None:
        claims["sid"] = session
    key = signing_key(settings)
    return jwt.encode(claims, key, ALGORITHM, headers={"typ": TYPE, "kid": key_id(key.public_key())})


def verify(settings: Settings, keys: Keys, token: str) -> Principal:
    """Who the token speaks for. Raises BadToken."""
    if len(token) > LONGEST:
        raise BadToken("the token is too long")
    try:
        claims = jwt.decode(
            token,
            _key_for(token, keys),
            algorithms=[ALGORITHM],
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            leeway=LEEWAY,
            options={"require": list(REQUIRED)},
        )
    except jwt.InvalidTokenError as fault:
        raise BadToken(reason(fault)) from fault
    return _principal(claims)


def _now() -> datetime:
    return datetime.now(UTC)


def verifier(settings: Settings, keys: Keys, now: Callable[[], datetime] = _now) -> Callable[[str], Principal]:
    """`verify` that remembers good tokens until they expire: to check their signatures again would be a quarter of what
    a command costs here."""
    checked = lru_cache(REMEMBERED)(partial(verify, settings, keys))

    def verified(token: str) -> Principal:
        found = checked(token)
        if found.expires_at is not None and found.expires_at + LEEWAY <= now():
            raise BadToken(EXPIRED)
        return found

    return verified


def _key_for(token: str, keys: Keys) -> Ed25519PublicKey:
    """The key that the header names. A header that brings or fetches its own key is refused, as is any other type."""
    header = jwt.get_unverified_header(token)
    if header.keys() - {"alg", "typ", "kid"} or header.get("typ") != TYPE or header.get("alg") != ALGORITHM:
        raise BadToken(f"the token's header must have typ {TYPE}, alg {ALGORITHM} and kid, and nothing else")
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise BadToken("the token's key is not known here")
    return key


def reason(fault: jwt.InvalidTokenError) -> str:
    """What is wrong with a token, in words that repeat nothing of it."""
    match fault:
        case jwt.ExpiredSignatureError():
            return EXPIRED
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.MissingRequiredClaimError():
            return f"the token has no claim {fault.claim}"
        case jwt.InvalidIssuerError() | jwt.InvalidAudienceError():
            return "the token was issued by or for somebody else"
        case _:
            return "the token is not one of ours"


def _principal(claims: Mapping[str, Any]) -> Principal:
    company = claims.get("company")
    try:
        actor = Actor.parse(f"{claims['actor']}:{claims['sub']}")
        company_id = None if company is None else _company_id.validate_python(company, strict=True)
    except (ValueError, ValidationError) as fault:
        raise BadToken("the token's claims name no user or operator") from fault
    if (actor.kind, company_id is None) not in (("user", False), ("operator", True)):
        raise BadToken("a user's token names the company, an operator's none")
    session = claims.get("sid")
    if not (session is None or (isinstance(session, str) and SESSION_ID.fullmatch(session))):
        raise BadToken("the token's session is none of ours")
    return Principal(actor, company_id, session, datetime.fromtimestamp(claims["exp"], UTC))


def accepted_keys(settings: Settings) -> Keys:
    """Public keys by id: those of the settings, and the public halves of the keys that sign or are to sign.

    To rotate: add the new key behind the old one everywhere, then put it first, then, when the last token of the old
    one has expired, take that away.
    """
    public = [load_pem_public_key(text.encode()) for text in _pem_blocks(settings.token_public_keys)]
    halves = [key.public_key() for key in signing_keys(settings)]
    return {key_id(key): key for key in map(_ed25519_public, [*public, *halves])}


def as_jwks(keys: Keys) -> dict[str, Any]:
    """The public keys as a JWK Set (RFC 7517, RFC 8037)."""
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "use": "sig", "kid": name, "x": _base64url(key)}
            for name, key in keys.items()
        ]
    }


def _base64url(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key that signs. Raises NoSigningKey where there are only keys to verify with."""
    keys = signing_keys(settings)
    if not keys:
        raise NoSigningKey("set BITCORP_TOKEN_PRIVATE_KEY to the key whose public half is in BITCORP_TOKEN_PUBLIC_KEYS")
    return keys[0]


def signing_keys(settings: Settings) -> tuple[Ed25519PrivateKey, ...]:
    """The private keys of the settings, of which the first signs; where none of either sort is set, the stack's own,
    made when first asked for."""
    given = settings.token_private_key.get_secret_value()
    if given:
        texts = _pem_blocks(given) or [given]
    elif settings.token_public_keys:
        texts = []
    else:
        texts = [own_file(settings.directory / "token-key.pem", _new_key).decode()]
    return tuple(map(_ed25519_private, texts))


def _ed25519_private(text: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except ValueError as fault:
        raise NoSigningKey("BITCORP_TOKEN_PRIVATE_KEY holds what is no key in PEM") from fault
    if not isinstance(key, Ed25519PrivateKey):
        raise NoSigningKey("BITCORP_TOKEN_PRIVATE_KEY is not an Ed25519 key in PEM")
    return key


def _pem_blocks(text: str) -> list[str]:
    return PEM_BLOCK.findall(text.replace("\\n", "\n"))


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def own_file(path: Path, made: Callable[[], bytes]) -> bytes:
    """The secret in the file. Of several processes that find none, one writes it whole and all read that one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_bytes(made())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its secret counts
        finally:
            draft.unlink()
    return path.read_bytes()


def key_id(key: Ed25519PublicKey) -> str:
    """`kid` of a key: the start of its SHA-256."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _ed25519_public(key: object) -> Ed25519PublicKey:
    if not isinstance(key, Ed25519PublicKey):
        raise NoSigningKey("BITCORP_TOKEN_PUBLIC_KEYS holds a key that is not Ed25519")
    return key
