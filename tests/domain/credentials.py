"""What a person's credentials have been through, for the tests of their rules."""

from datetime import timedelta
from typing import Any

from domain.credential import OneTimeTokenIssued, PasswordSet, RefreshSession, SignedIn, TotpConfirmed, TotpEnrolled
from tests.domain.scenario import NOW, Answer, given

API = "system:api"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo"
FAMILY, ENROLMENT = "a" * 32, "e" * 32
OLD, FIRST, SECOND, THIRD = ("0" * 64, "1" * 64, "2" * 64, "3" * 64)
CODES = ("4" * 64, "5" * 64)
HOUR = 3600

INVITED = OneTimeTokenIssued(user_id="tess", digest=FIRST, expires_at=NOW + timedelta(hours=1), requested_by="user:ada")
PASSWORD = PasswordSet(user_id="tess", password_version=1, password_hash=HASH)
SESSION = SignedIn(
    user_id="tess",
    family_id=FAMILY,
    digest=FIRST,
    expires_at=NOW + timedelta(hours=1),
    ends_at=NOW + timedelta(hours=3),
)
ENROLMENT_BEGUN = TotpEnrolled(user_id="tess", enrolment_id=ENROLMENT, secret="gAAAAABciphertextciphertext==")
CONFIRMED = TotpConfirmed(user_id="tess", enrolment_id=ENROLMENT, totp_step=100, recovery_digests=CODES)

SET = given(INVITED, PASSWORD)
SIGNED_IN = given(INVITED, PASSWORD, SESSION)
ENROLLED = given(INVITED, PASSWORD, SESSION, ENROLMENT_BEGUN)
GUARDED = given(INVITED, PASSWORD, SESSION, ENROLMENT_BEGUN, CONFIRMED)

REFRESH = RefreshSession(user_id="tess", family_id=FAMILY, presented=FIRST, digest=SECOND, lifetime_seconds=2 * HOUR)

#: A sample of every command with all its fields.
SECRETS: dict[str, dict[str, Any]] = {
    "credential.issue-one-time-token": {
        "user_id": "tess",
        "digest": FIRST,
        "lifetime_seconds": HOUR,
        "requested_by": "user:ada",
    },
    "credential.set-password": {"user_id": "tess", "one_time_digest": FIRST, "password_hash": HASH},
    "credential.change-password": {
        "user_id": "tess",
        "password_version": 1,
        "password_hash": HASH,
        "kept": "b" * 32,
    },
    "credential.sign-in": {
        "user_id": "tess",
        "password_version": 1,
        "family_id": "b" * 32,
        "digest": SECOND,
        "lifetime_seconds": HOUR,
        "totp_step": None,
        "recovery_digest": None,
    },
    "credential.record-failed-sign-in": {"user_id": "tess", "password_version": 1},
    "credential.refresh-session": REFRESH.model_dump(),
    "credential.sign-out": {"user_id": "tess", "family_id": FAMILY},
    "credential.revoke-sessions": {"user_id": "tess", "requested_by": "user:ada"},
    "credential.enrol-totp": {
        "user_id": "tess",
        "enrolment_id": ENROLMENT,
        "secret": "gAAAAABciphertextciphertext==",
    },
    "credential.confirm-totp": {
        "user_id": "tess",
        "enrolment_id": ENROLMENT,
        "totp_step": 100,
        "recovery_digests": list(CODES),
    },
    "credential.remove-totp": {"user_id": "tess", "requested_by": "operator:help"},
}


def reuse() -> Answer:
    """The answer to a refresh token that was replaced."""
    return SIGNED_IN.when(REFRESH.model_copy(update={"presented": OLD}), by=API)
