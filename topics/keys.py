"""Secret keys as text: `bcp_<company>_<key>_<seed>_<check>`, so that people, typos and scanners of secrets can tell.

`seed` is the 32-byte Ed25519 private key in base64url without padding, `check` the CRC-32 of all before it as eight hex
digits. The public half, in base64url too, is what the company's events and views show.
"""

import re
import secrets
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32
PREFIX = "bcp_"
TEXT = re.compile(
    PREFIX + r"([a-z0-9][a-z0-9._-]{0,63})_([A-Za-z0-9][A-Za-z0-9.-]{0,63})_([A-Za-z0-9_-]{43})_([0-9a-f]{8})"
)


class BadSecret(ValueError):
    """The text is no secret key; it says why without repeating it."""


@dataclass(frozen=True)
class Secret:
    """A company's key with its secret half, which no log shows."""

    company_id: str
    key_id: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, company_id: str, key_id: str) -> Self:
        return cls(company_id, key_id, secrets.token_bytes(SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadSecret."""
        found = TEXT.fullmatch(text)
        if found is None:
            raise BadSecret("the text is no key of this form: bcp_<company>_<key>_<seed>_<check>")
        if found[4] != _check(text[:-9]):
            raise BadSecret("the key is not as it was given out: its last eight digits do not fit")
        return cls(found[1], found[2], from_base64url(found[3]))

    @property
    def text(self) -> str:
        body = f"{PREFIX}{self.company_id}_{self.key_id}_{base64url(self.seed)}"
        return f"{body}_{_check(body)}"

    @cached_property
    def private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public_key(self) -> str:
        return base64url(self.private_key.public_key().public_bytes_raw())


def _check(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def base64url(raw: bytes) -> str:
    """Base64url without padding, as JOSE has it."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    """What `base64url` wrote. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
