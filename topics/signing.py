"""Proof of who sends a command: header `ce_signature`, a detached JWS (RFC 7515, appendix F) over what it says.

What is signed, as ASCII lines joined by a line feed, without one at the end:

    bitcorp-command-v1
    <ce_id>
    <ce_type>
    <key of the Kafka record: the company>
    <ce_subject>
    <ce_actor>
    <ce_expectedversion, or nothing>
    <SHA-256 of the record's value, as 64 lower-case hex digits>
    <ce_origin; without this header, no such line>

The header's value is `BASE64URL(protected header) ".." BASE64URL(signature)`: a compact JWS whose payload, the
base64url of these lines, is left out between the dots; whoever verifies it puts that in again. The protected header
has `alg` and `kid`, and nothing else:

- `EdDSA`: Ed25519 with a key of the company; `kid` is its id, and the actor is `key:<kid>`.
- `HS256`: HMAC with the secret that a process of the platform shares with the lanes; `kid` is that process's id. Both
  derive it: HKDF-SHA256 of the X25519 secret of their two key pairs, no salt, info `bitcorp-command-v1`, 32 bytes.

Only commands in CloudEvents' binary mode can be signed: the value is hashed exactly as it was sent.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from topics.keys import base64url, from_base64url
from topics.messages import CommandMessage
from topics.settings import Settings

CONTEXT = "bitcorp-command-v1"
EDDSA, HS256 = "EdDSA", "HS256"
LONGEST = 400
KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: `kid` of the key pair that admits processes of the platform.
ROOT = "root"

Sign = Callable[[CommandMessage], CommandMessage]


class BadSignature(ValueError):
    """The signature proves nothing; the text says why."""


class Signature(NamedTuple):
    """A detached JWS: algorithm, id of the key, protected header as it came, and the signature's bytes."""

    algorithm: str
    kid: str
    protected: str
    signature: bytes


def said(command: CommandMessage) -> bytes:
    """What is signed of a command."""
    version = "" if command.expected_version is None else command.expected_version
    digest = hashlib.sha256(command.data).hexdigest()
    subject = f"{command.aggregate}/{command.aggregate_id}"
    lines = f"{CONTEXT}\n{command.id}\n{command.type}\n{command.company_id}\n{subject}\n{command.actor}\n{version}\n"
    return f"{lines}{digest}\n{command.origin}".encode() if command.origin else (lines + digest).encode()


def signing_input(protected: str, command: CommandMessage) -> bytes:
    return f"{protected}.{base64url(said(command))}".encode()


@lru_cache(maxsize=1_000)
def protected_header(algorithm: str, kid: str) -> str:
    return base64url(json.dumps({"alg": algorithm, "kid": kid}, separators=(",", ":")).encode())


def signer_of(settings: Settings) -> Sign:
    """How this process signs commands that carry no signature yet; not at all where it has no key."""
    kid, _, private_key = settings.signing_key.get_secret_value().partition(":")
    if not kid:
        return lambda command: command
    secret = shared_secret(from_base64url(private_key), settings.lanes_public_key)
    sign = hmac_signer(kid, secret)
    return lambda command: command if command.signature else sign(command)


def ed25519_signer(kid: str, private_key: Ed25519PrivateKey) -> Sign:
    """Signs as the company's key `kid`."""
    protected = protected_header(EDDSA, kid)
    return lambda command: _signed(command, protected, private_key.sign)


def hmac_signer(kid: str, secret: bytes) -> Sign:
    """Signs as the platform's key `kid`."""
    protected = protected_header(HS256, kid)
    return lambda command: _signed(command, protected, lambda message: hmac.digest(secret, message, "sha256"))


def _signed(command: CommandMessage, protected: str, sign: Callable[[bytes], bytes]) -> CommandMessage:
    return command._replace(signature=f"{protected}..{base64url(sign(signing_input(protected, command)))}")


def signer_named(signature: str) -> str | None:
    """The key that a signature says it is of: `key:<id>` is a company's, `process:<id>` the platform's. None where it
    cannot be read."""
    return _signer(signature.partition("..")[0])


@lru_cache(maxsize=1_000)
def _signer(protected: str) -> str | None:
    try:
        algorithm, kid = _header(protected) if len(protected) < LONGEST else ("", "")
    except BadSignature:
        return None
    return f"{'key' if algorithm == EDDSA else 'process'}:{kid}" if KID.fullmatch(kid) else None


def parse(text: str) -> Signature:
    """Raises BadSignature."""
    if len(text) > LONGEST:
        raise BadSignature("ce_signature is too long")
    protected, _, signature = text.partition("..")
    algorithm, kid = _header(protected)
    try:
        return Signature(algorithm, kid, protected, from_base64url(signature))
    except ValueError as fault:
        raise BadSignature("ce_signature is not base64url") from fault


@lru_cache(maxsize=1_000)
def _header(protected: str) -> tuple[str, str]:
    try:
        header = json.loads(from_base64url(protected))
        algorithm, kid = header.pop("alg"), header.pop("kid")
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise BadSignature("ce_signature has no header with alg and kid") from fault
    if header or algorithm not in (EDDSA, HS256) or not isinstance(kid, str):
        raise BadSignature("the header of ce_signature must have alg EdDSA or HS256 and kid, and nothing else")
    return algorithm, kid


def check_ed25519(command: CommandMessage, given: Signature, public_key: str) -> None:
    """Raises BadSignature. `public_key` is base64url."""
    try:
        key = _ed25519(public_key)
        key.verify(given.signature, signing_input(given.protected, command))
    except InvalidSignature as fault:
        raise BadSignature("the signature does not fit the command") from fault


def check_hmac(command: CommandMessage, given: Signature, secret: bytes) -> None:
    """Raises BadSignature."""
    right = hmac.digest(secret, signing_input(given.protected, command), "sha256")
    if not hmac.compare_digest(right, given.signature):
        raise BadSignature("the signature does not fit the command")


@lru_cache(maxsize=1_000)
def _ed25519(public_key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(from_base64url(public_key))


@lru_cache(maxsize=1_000)
def shared_secret(private_key: bytes, public_key: str) -> bytes:
    """What the holders of two X25519 pairs have in common, each from the own private half and the other's public one,
    which is base64url.

    Raises BadSignature where one of them is no key."""
    try:
        public = X25519PublicKey.from_public_bytes(from_base64url(public_key))
        exchanged = X25519PrivateKey.from_private_bytes(private_key).exchange(public)
    except ValueError as fault:
        raise BadSignature("the keys cannot be used together") from fault
    return HKDF(SHA256(), 32, None, CONTEXT.encode()).derive(exchanged)
