"""What proves who a person is: password, second factor, sessions, lockout. A realm of its own, used by the API alone.

Secrets never come here: passwords as argon2id hashes, tokens and recovery codes as SHA-256 digests of at least 112
random bits, the key of the second factor as the API has encrypted it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, assert_never

from pydantic import AfterValidator, Field, StringConstraints

from domain.decider import Context, Decider, Kind, Refusal, Rejected
from domain.model import Command, Event, Id, Instant, State, Value, each_once

API = frozenset({"api"})
#: So many sign-ins may fail before the next has to wait a minute, then two, four, ... up to an hour.
FREE_FAILURES = 4
LONGEST_LOCK = timedelta(hours=1)
#: However often a session is refreshed, it ends after this.
LONGEST_SESSION = timedelta(days=30)
MOST_SESSIONS = 20

sign_in_failed = Refusal("sign-in-failed", Kind.FORBIDDEN, "Password or second factor is wrong.")
sign_in_locked = Refusal("sign-in-locked", Kind.CONFLICT, "Too many sign-ins have failed; the next has to wait.")
second_factor_needed = Refusal(
    "second-factor-needed", Kind.FORBIDDEN, "The password is right; a code of the second factor is needed beside it."
)
password_moved = Refusal("password-moved", Kind.STALE, "The password was changed since its hash was read.")
one_time_token_refused = Refusal(
    "one-time-token-refused", Kind.FORBIDDEN, "The one-time token is unknown, used, replaced or expired."
)
session_ended = Refusal("session-ended", Kind.FORBIDDEN, "The session has ended; sign in again.")
refresh_token_reused = Refusal(
    "refresh-token-reused", Kind.FORBIDDEN, "The refresh token was used before, so its session has ended."
)
totp_unknown = Refusal("totp-unknown", Kind.MISSING, "There is no such enrolment of a second factor.")
totp_exists = Refusal("totp-exists", Kind.CONFLICT, "A second factor is confirmed already; remove it first.")

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(examples=["0" * 64])]
PasswordHash = Annotated[str, StringConstraints(max_length=400, pattern=r"^\$argon2id\$[!-~]{20,}$")]
Ciphertext = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[A-Za-z0-9_=-]{20,}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Field(examples=["0" * 32])]
Digests = Annotated[tuple[Digest, ...], Field(min_length=1, max_length=20), AfterValidator(each_once)]
PasswordVersion = Annotated[int, Field(ge=1, le=2**31)]
Step = Annotated[int, Field(ge=0, le=2**40, description="Number of the 30 seconds that a code belongs to")]
Seconds = Annotated[int, Field(ge=60, le=90 * 24 * 3600)]
ActorText = Annotated[str, StringConstraints(pattern=r"^(user|operator):[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class OneTimeTokenIssued(Event):
    """Whoever shows the token may set the password, once and until then; an earlier token counts no more."""

    user_id: Id
    digest: Digest
    expires_at: Instant
    requested_by: ActorText


class PasswordSet(Event):
    user_id: Id
    password_version: PasswordVersion
    password_hash: PasswordHash


class SignedIn(Event):
    """A session begins: a family of refresh tokens of which only the last counts."""

    user_id: Id
    family_id: Key
    digest: Digest
    expires_at: Instant
    ends_at: Instant
    totp_step: Step | None = None
    recovery_digest: Digest | None = None


class SignInFailed(Event):
    user_id: Id
    failures: int
    locked_until: Instant | None = None


class SessionRefreshed(Event):
    user_id: Id
    family_id: Key
    digest: Digest
    expires_at: Instant
    ends_at: Instant


class RefreshTokenReused(Event):
    """Somebody showed a token that does not count any more: thief or owner, nobody can tell, so the session ends."""

    user_id: Id
    family_id: Key


class SignedOut(Event):
    user_id: Id
    family_id: Key


class SessionsRevoked(Event):
    """All sessions end but the one kept."""

    user_id: Id
    kept: Key | None = None
    requested_by: ActorText | None = None


class TotpEnrolled(Event):
    user_id: Id
    enrolment_id: Key
    secret: Ciphertext


class TotpConfirmed(Event):
    user_id: Id
    enrolment_id: Key
    totp_step: Step
    recovery_digests: Digests


class TotpRemoved(Event):
    user_id: Id
    requested_by: ActorText


CredentialEvent = (
    OneTimeTokenIssued
    | PasswordSet
    | SignedIn
    | SignInFailed
    | SessionRefreshed
    | RefreshTokenReused
    | SignedOut
    | SessionsRevoked
    | TotpEnrolled
    | TotpConfirmed
    | TotpRemoved
)


class OneTimeToken(Value):
    """A token that was given out and not used yet."""

    digest: str
    expires_at: datetime


class Session(Value):
    """The refresh token that counts, and until when; `ends_at` is the end whatever happens."""

    digest: str
    expires_at: datetime
    ends_at: datetime


class Totp(Value):
    """A second factor; it counts once confirmed, and only with steps later than the last."""

    enrolment_id: str
    confirmed: bool = False
    step: int = 0


class Credential(State):
    password_version: int = 0
    one_time: OneTimeToken | None = None
    sessions: dict[str, Session] = Field(default_factory=dict)
    totp: Totp | None = None
    recovery: tuple[str, ...] = ()
    failures: int = 0
    locked_until: datetime | None = None

    @property
    def second_factor(self) -> Totp | None:
        return self.totp if self.totp and self.totp.confirmed else None

    def without(self, family_id: str) -> "Credential":
        """The credential when that session has ended."""
        return self.but(sessions={key: it for key, it in self.sessions.items() if key != family_id})


def evolve(credential: Credential, event: CredentialEvent) -> Credential:
    match event:
        case OneTimeTokenIssued(digest=digest, expires_at=moment):
            return credential.but(one_time=OneTimeToken(digest=digest, expires_at=moment))
        case PasswordSet(password_version=version):
            return credential.but(password_version=version, one_time=None, failures=0, locked_until=None)
        case SignedIn():
            return _signed_in(credential, event)
        case SignInFailed(failures=failures, locked_until=moment):
            return credential.but(failures=failures, locked_until=moment)
        case SessionRefreshed(family_id=key, digest=digest, expires_at=moment, ends_at=end):
            session = Session(digest=digest, expires_at=moment, ends_at=end)
            return credential.but(sessions=credential.sessions | {key: session})
        case RefreshTokenReused(family_id=key) | SignedOut(family_id=key):
            return credential.without(key)
        case SessionsRevoked(kept=kept):
            return credential.but(sessions={key: it for key, it in credential.sessions.items() if key == kept})
        case TotpEnrolled(enrolment_id=key):
            return credential.but(totp=Totp(enrolment_id=key), recovery=())
        case TotpConfirmed(enrolment_id=key, totp_step=step, recovery_digests=digests):
            return credential.but(totp=Totp(enrolment_id=key, confirmed=True, step=step), recovery=digests)
        case TotpRemoved():
            return credential.but(totp=None, recovery=())
        case _:
            assert_never(event)


def _signed_in(credential: Credential, event: SignedIn) -> Credential:
    """With the new session; those that have expired, and the oldest of too many, are forgotten."""
    now = event.effective_at
    alive = [(key, it) for key, it in credential.sessions.items() if now is None or it.expires_at > now]
    session = Session(digest=event.digest, expires_at=event.expires_at, ends_at=event.ends_at)
    totp = credential.totp
    if totp and event.totp_step is not None:
        totp = Totp(enrolment_id=totp.enrolment_id, confirmed=True, step=event.totp_step)
    return credential.but(
        sessions=dict([*alive[1 - MOST_SESSIONS :], (event.family_id, session)]),
        totp=totp,
        recovery=tuple(digest for digest in credential.recovery if digest != event.recovery_digest),
        failures=0,
        locked_until=None,
    )


credential = Decider(
    "credential",
    key="user_id",
    path="credentials",
    initial=Credential(),
    evolve=evolve,
    refusing={SignInFailed: sign_in_failed, RefreshTokenReused: refresh_token_reused},
)


def lock_after(failures: int) -> timedelta:
    """How long the next sign-in has to wait after so many that failed."""
    if failures <= FREE_FAILURES:
        return timedelta()
    return min(LONGEST_LOCK, timedelta(minutes=2 ** min(failures - FREE_FAILURES - 1, 10)))


def locked(seconds: int) -> Rejected:
    """The refusal while sign-in is locked for so many seconds more."""
    wait = {"field": "retry-after", "code": "seconds", "detail": str(seconds)}
    return sign_in_locked(errors=(wait,))


def _check_open(held: Credential, now: datetime) -> None:
    if held.locked_until and held.locked_until > now:
        raise locked(int((held.locked_until - now).total_seconds()) + 1)


def _check_version(held: Credential, version: int) -> None:
    if held.password_version != version:
        raise password_moved()


def _failure(held: Credential, user_id: str, now: datetime) -> SignInFailed:
    failures = held.failures + 1
    wait = lock_after(failures)
    return SignInFailed(user_id=user_id, failures=failures, locked_until=now + wait if wait else None)


class IssueOneTimeToken(Command):
    """Let whoever shows the token set the user's password, once; for a person who is invited or has forgotten it."""

    user_id: Id
    digest: Digest
    lifetime_seconds: Seconds
    requested_by: ActorText


@credential.decides(systems=API, new=True)
def issue_one_time_token(held: Credential, cmd: IssueOneTimeToken, context: Context) -> Iterator[OneTimeTokenIssued]:
    if held.one_time and held.one_time.digest == cmd.digest:
        return  # asked twice, issued once
    yield OneTimeTokenIssued(
        user_id=cmd.user_id,
        digest=cmd.digest,
        expires_at=context.now + timedelta(seconds=cmd.lifetime_seconds),
        requested_by=cmd.requested_by,
    )


class SetPassword(Command):
    """Set the password by a one-time token; every session ends, and so does a lock."""

    user_id: Id
    one_time_digest: Digest
    password_hash: PasswordHash


@credential.decides(systems=API)
def set_password(held: Credential, cmd: SetPassword, context: Context) -> Iterator[PasswordSet | SessionsRevoked]:
    token = held.one_time
    if token is None or token.digest != cmd.one_time_digest or token.expires_at <= context.now:
        raise one_time_token_refused()
    yield from _new_password(held, cmd.user_id, cmd.password_hash)


def _new_password(
    held: Credential, user_id: str, password_hash: str, kept: str | None = None
) -> Iterator[PasswordSet | SessionsRevoked]:
    yield PasswordSet(user_id=user_id, password_version=held.password_version + 1, password_hash=password_hash)
    if held.sessions.keys() - {kept}:
        yield SessionsRevoked(user_id=user_id, kept=kept)


class ChangePassword(Command):
    """Set another password in place of the one whose hash was verified; every session ends but the one named."""

    user_id: Id
    password_version: PasswordVersion
    password_hash: PasswordHash
    kept: Key | None = None


@credential.decides(systems=API)
def change_password(held: Credential, cmd: ChangePassword, context: Context) -> Iterator[PasswordSet | SessionsRevoked]:
    _check_open(held, context.now)
    _check_version(held, cmd.password_version)
    yield from _new_password(held, cmd.user_id, cmd.password_hash, cmd.kept)


class SignIn(Command):
    """Begin a session after the password was verified against the hash of that version."""

    user_id: Id
    password_version: PasswordVersion
    family_id: Key
    digest: Digest
    lifetime_seconds: Seconds
    totp_step: Step | None = None
    recovery_digest: Digest | None = None


@credential.decides(systems=API)
def sign_in(held: Credential, cmd: SignIn, context: Context) -> Iterator[SignedIn | SignInFailed]:
    session = held.sessions.get(cmd.family_id)
    if session and session.digest == cmd.digest:
        return  # asked twice, signed in once
    _check_open(held, context.now)
    _check_version(held, cmd.password_version)
    if not _second_factor_fits(held, cmd):
        yield _failure(held, cmd.user_id, context.now)
        return
    ends_at = context.now + LONGEST_SESSION
    yield SignedIn(
        user_id=cmd.user_id,
        family_id=cmd.family_id,
        digest=cmd.digest,
        expires_at=min(ends_at, context.now + timedelta(seconds=cmd.lifetime_seconds)),
        ends_at=ends_at,
        totp_step=cmd.totp_step,
        recovery_digest=cmd.recovery_digest,
    )


def _second_factor_fits(held: Credential, cmd: SignIn) -> bool:
    """Raises where one is needed and none was shown. A step counts once, and so does a recovery code."""
    totp = held.second_factor
    if totp is None:
        return cmd.totp_step is None and cmd.recovery_digest is None
    if cmd.recovery_digest is not None:
        return cmd.recovery_digest in held.recovery
    if cmd.totp_step is None:
        raise second_factor_needed()
    return cmd.totp_step > totp.step


class RecordFailedSignIn(Command):
    """Count a sign-in whose password or code did not fit the hash of that version.

    The version is 0 where there is no hash yet.
    """

    user_id: Id
    password_version: Annotated[int, Field(ge=0, le=2**31)]


@credential.decides(systems=API)
def record_failed_sign_in(held: Credential, cmd: RecordFailedSignIn, context: Context) -> Iterator[SignInFailed]:
    _check_open(held, context.now)
    _check_version(held, cmd.password_version)
    yield _failure(held, cmd.user_id, context.now)


class RefreshSession(Command):
    """Replace a session's refresh token; one that was replaced before ends the session."""

    user_id: Id
    family_id: Key
    presented: Digest
    digest: Digest
    lifetime_seconds: Seconds


@credential.decides(systems=API)
def refresh_session(
    held: Credential, cmd: RefreshSession, context: Context
) -> Iterator[SessionRefreshed | RefreshTokenReused]:
    session = held.sessions.get(cmd.family_id)
    if session is None or session.expires_at <= context.now:
        raise session_ended()
    if session.digest == cmd.digest:
        return  # asked twice, refreshed once
    if session.digest != cmd.presented:
        yield RefreshTokenReused(user_id=cmd.user_id, family_id=cmd.family_id)
        return
    yield SessionRefreshed(
        user_id=cmd.user_id,
        family_id=cmd.family_id,
        digest=cmd.digest,
        expires_at=min(session.ends_at, context.now + timedelta(seconds=cmd.lifetime_seconds)),
        ends_at=session.ends_at,
    )


class SignOut(Command):
    """End a session."""

    user_id: Id
    family_id: Key


@credential.decides(systems=API)
def sign_out(held: Credential, cmd: SignOut, context: Context) -> Iterator[SignedOut]:
    if cmd.family_id in held.sessions:
        yield SignedOut(user_id=cmd.user_id, family_id=cmd.family_id)


class RevokeSessions(Command):
    """End all sessions of the user."""

    user_id: Id
    requested_by: ActorText


@credential.decides(systems=API)
def revoke_sessions(held: Credential, cmd: RevokeSessions, context: Context) -> Iterator[SessionsRevoked]:
    if held.sessions:
        yield SessionsRevoked(user_id=cmd.user_id, requested_by=cmd.requested_by)


class EnrolTotp(Command):
    """Begin with a second factor; it counts when a first code has confirmed it."""

    user_id: Id
    enrolment_id: Key
    secret: Ciphertext


@credential.decides(systems=API)
def enrol_totp(held: Credential, cmd: EnrolTotp, context: Context) -> Iterator[TotpEnrolled]:
    if held.second_factor:
        raise totp_exists()
    if held.totp and held.totp.enrolment_id == cmd.enrolment_id:
        return  # asked twice, enrolled once
    yield TotpEnrolled(**vars(cmd))


class ConfirmTotp(Command):
    """Let the second factor count from now on, after a code of it was verified."""

    user_id: Id
    enrolment_id: Key
    totp_step: Step
    recovery_digests: Digests


@credential.decides(systems=API)
def confirm_totp(held: Credential, cmd: ConfirmTotp, context: Context) -> Iterator[TotpConfirmed]:
    if held.second_factor and held.recovery == cmd.recovery_digests:
        return  # asked twice, confirmed once
    if held.second_factor:
        raise totp_exists()
    if held.totp is None or held.totp.enrolment_id != cmd.enrolment_id:
        raise totp_unknown()
    yield TotpConfirmed(**vars(cmd))


class RemoveTotp(Command):
    """Let the password alone suffice again."""

    user_id: Id
    requested_by: ActorText


@credential.decides(systems=API)
def remove_totp(held: Credential, cmd: RemoveTotp, context: Context) -> Iterator[TotpRemoved]:
    if held.totp:
        yield TotpRemoved(user_id=cmd.user_id, requested_by=cmd.requested_by)
