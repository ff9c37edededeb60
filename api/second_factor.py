"""The second factor: time-based codes (RFC 6238), their encrypted keys, and recovery codes."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence

import pyotp
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from api.tokens import own_file
from topics.settings import Settings

ISSUER = "Bitcorp ERP"
STEP_SECONDS = 30
#: Steps before and after the present one whose codes count: clocks differ, and people type slowly.
TOLERANCE = 1
CODES = 10
CODE_BYTES = 15
GROUP = 6


class Vault:
    """Encrypts the keys of second factors; each is bound to the person it is of. The first key of the settings
    encrypts, all decrypt."""

    def __init__(self, settings: Settings) -> None:
        given = [key for key in settings.totp_keys.get_secret_value().split(",") if key.strip()]
        keys = given or [own_file(settings.directory / "totp-key", Fernet.generate_key).decode()]
        self._keys = MultiFernet([Fernet(key.strip()) for key in keys])

    def locked(self, company_id: str, user_id: str, key: str) -> str:
        return self._keys.encrypt(f"{company_id}/{user_id}:{key}".encode()).decode()

    def opened(self, company_id: str, user_id: str, secret: str | None) -> str | None:
        """The key; None where it is not of this person, or of a key that we have no more."""
        try:
            owner, _, key = self._keys.decrypt(secret or "").decode().rpartition(":")
        except InvalidToken:
            return None
        return key if owner == f"{company_id}/{user_id}" else None


def new_key() -> str:
    return pyotp.random_base32()


def link(key: str, email: str) -> str:
    """The `otpauth` address that authenticators read as a picture."""
    return pyotp.TOTP(key).provisioning_uri(name=email, issuer_name=ISSUER)


def step_of(key: str | None, code: str, now: float | None = None) -> int | None:
    """The step whose code this is, of those about now; None where it is of none."""
    if key is None:
        return None
    present = int((time.time() if now is None else now) // STEP_SECONDS)
    totp = pyotp.TOTP(key)
    steps = range(present - TOLERANCE, present + TOLERANCE + 1)
    return next((step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)), None)


def recovery_codes() -> Sequence[str]:
    """Codes of 120 random bits each, in groups of letters and digits."""
    return [_grouped(base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower()) for _ in range(CODES)]


def _grouped(text: str) -> str:
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def recovery_digest(code: str) -> str:
    """Of a code as it was given out or typed."""
    return digest("".join(code.split()).replace("-", "").lower())


def digest(secret: str) -> str:
    """SHA-256: enough for secrets of that many random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
