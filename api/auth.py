"""Signing in and what belongs to it: passwords, sessions, second factors. Whatever counts is decided by the lane.

Answers never tell a wrong password from a wrong user or an unknown company, neither by their words nor by the work that
went before them.
"""

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import structlog
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from api.answers import answered
from api.credentials import Credentials, away
from api.door import ROOT, Door
from api.forms import (
    ROUTES,
    TOKENS,
    Asked,
    Confirmed,
    FirstCode,
    Forgotten,
    Login,
    NewPassword,
    OfUser,
    Refresh,
    Removal,
    Reset,
)
from api.passwords import Passwords, faults
from api.problems import (
    fields_wrong,
    locked_out,
    not_found,
    not_permitted,
    of_outcome,
    of_refusal,
    password_wrong,
    session_over,
    sign_in_refused,
)
from api.second_factor import Vault, digest, link, new_key, recovery_codes, recovery_digest, step_of
from api.tokens import Principal, as_jwks, mint, signing_keys
from domain.credential import (
    ChangePassword,
    ConfirmTotp,
    EnrolTotp,
    IssueOneTimeToken,
    RecordFailedSignIn,
    RefreshSession,
    RemoveTotp,
    RevokeSessions,
    SetPassword,
    SignIn,
    SignOut,
    credential,
    lock_after,
    one_time_token_refused,
    password_moved,
    second_factor_needed,
    sign_in_failed,
    sign_in_locked,
    totp_unknown,
)
from domain.decider import Actor
from domain.engine import field_errors
from domain.model import Command, CompanyId, Role
from domain.record import Outcome, Status
from domain.user import user
from views.credentials import Held
from views.outcomes import OutcomeItem
from views.users import Person

NOT_KEPT = {"Cache-Control": "no-store"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="bitcorp"'}
INVITATION = timedelta(hours=72)
#: How often a sign-in is begun anew where the password changed between reading its hash and deciding.
ATTEMPTS = 3
MOST_STRANGERS = 10_000
JWKS_SECONDS = 300

Body = TypeVar("Body", bound=Asked)

COMPANY_ID: TypeAdapter[str] = TypeAdapter(CompanyId)

log = structlog.get_logger("auth")


@dataclass(frozen=True)
class RefreshToken:
    """Company, user, session and a secret, in one line that leak scanners can know."""

    company_id: str
    user_id: str
    family_id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        parts = text.split(":")
        return cls(*parts[1:]) if len(parts) == 5 and parts[0] == "bitcorp-refresh" else None

    def __str__(self) -> str:
        return ":".join(("bitcorp-refresh", self.company_id, self.user_id, self.family_id, self.secret))


class Strangers:
    """Counts the failures of people who are not there, so that they are answered like those who are."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def failed(self, company_id: str, name: str) -> int:
        """Seconds that are left to wait; where there are none, one failure more."""
        who, now = (company_id, name), time.monotonic()
        failures, until = self._seen.pop(who, (0, 0.0))
        if until <= now:
            failures += 1
            until = now + lock_after(failures).total_seconds()
            left = 0
        else:
            left = int(until - now) + 1
        self._seen[who] = (failures, until)
        if len(self._seen) > MOST_STRANGERS:
            self._seen.popitem(last=False)
        return left


class Auth:
    """The routes. Nothing of them is kept but the failures of strangers."""

    def __init__(self, door: Door, credentials: Credentials) -> None:
        self.door = door
        self.credentials = credentials
        self.passwords = Passwords()
        self.strangers = Strangers()
        self.signs = bool(signing_keys(door.settings))

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.door.settings)

    def routes(self) -> Iterator[web.RouteDef]:
        for route in ROUTES:
            yield web.post(f"{ROOT}/auth/{route.path}", getattr(self, route.name))
        yield web.get("/.well-known/jwks.json", self.jwks)

    async def jwks(self, request: web.Request) -> web.Response:
        """The keys that access tokens are verified with."""
        return answered(200, as_jwks(self.door.keys), {"Cache-Control": f"public, max-age={JWKS_SECONDS}"})

    # -- sessions ------------------------------------------------------------------------------------------------

    async def login(self, request: web.Request) -> web.Response:
        asked = await self._body(request, Login)
        self._check_signs()
        company_id = asked.company_id
        found = await self.credentials.person(company_id, email=asked.email)
        user_id = found.user_id if found and found.active else stranger(asked.email)
        token = RefreshToken(company_id, user_id, secrets.token_hex(16), secrets.token_urlsafe(32))
        outcome = await self._attempted(
            request, company_id, user_id, asked.password, lambda held: self._entry(asked, token, held)
        )
        if outcome.status is not Status.ACCEPTED:
            self._refuse(outcome, company_id, user_id)
        log.info("signed-in", company=company_id, user=user_id)
        return self._tokens(token)

    async def _attempted(
        self,
        request: web.Request,
        company_id: str,
        user_id: str,
        password: str,
        wish: Callable[[Held], Command | None],
    ) -> Outcome:
        """What the lane says of the wish, which is None where a code is wrong; a wrong password or code is counted.
        Begins anew where the password was changed meanwhile."""
        for attempt in range(ATTEMPTS):
            held = await self.credentials.held(company_id, user_id)
            right = await self.passwords.fits(password, held.password_hash)
            failed = RecordFailedSignIn(user_id=user_id, password_version=held.password_version)
            command = (wish(held) if right else None) or failed
            outcome = await self.credentials.decided(request, company_id, user_id, command)
            if outcome.code != password_moved.code or attempt == ATTEMPTS - 1:
                break
            await self.credentials.shown(outcome)
        return outcome

    def _entry(self, asked: Login, token: RefreshToken, held: Held) -> SignIn | None:
        """The session to begin; None where the code is wrong. The lane says whether one was needed."""
        step = None
        if asked.code:
            step = step_of(self.vault.opened(token.company_id, token.user_id, held.totp_secret), asked.code)
            if step is None:
                return None
        return SignIn(
            user_id=token.user_id,
            password_version=held.password_version,
            family_id=token.family_id,
            digest=digest(token.secret),
            lifetime_seconds=self._session_seconds,
            totp_step=step,
            recovery_digest=recovery_digest(asked.recovery_code) if asked.recovery_code else None,
        )

    def _check_signs(self) -> None:
        if not self.signs:
            raise away("This API has keys to verify access tokens with, and none to sign them.")

    @property
    def _session_seconds(self) -> int:
        return self.door.settings.refresh_days * 24 * 3600

    def _refuse(self, outcome: Outcome, company_id: str, user_id: str) -> NoReturn:
        wait = 0
        if outcome.code == credential.unknown.code:
            wait = self.strangers.failed(company_id, user_id)
        if outcome.code == sign_in_locked.code:
            wait = int(outcome.errors[0]["detail"])
        if wait:
            raise locked_out(headers={"Retry-After": str(wait)})
        if outcome.code == second_factor_needed.code:
            raise of_refusal(second_factor_needed)()
        if outcome.status is Status.FAILED:
            raise away("The sign-in could not be decided.")
        raise sign_in_refused(headers=CHALLENGE)

    def _tokens(self, token: RefreshToken) -> web.Response:
        lifetime = timedelta(minutes=self.door.settings.token_minutes)
        access = mint(self.door.settings, Actor("user", token.user_id), token.company_id, lifetime, token.family_id)
        plain = (access, "Bearer", int(lifetime.total_seconds()), str(token))
        return answered(200, dict(zip(TOKENS, plain, strict=True)), NOT_KEPT)

    async def refresh(self, request: web.Request) -> web.Response:
        token = self._refresh_token(await self._body(request, Refresh))
        self._check_signs()
        following = RefreshToken(token.company_id, token.user_id, token.family_id, secrets.token_urlsafe(32))
        command = RefreshSession(
            user_id=token.user_id,
            family_id=token.family_id,
            presented=digest(token.secret),
            digest=digest(following.secret),
            lifetime_seconds=self._session_seconds,
        )
        outcome = await self.credentials.decided(request, token.company_id, token.user_id, command)
        found = await self.credentials.person(token.company_id, user_id=token.user_id)
        if outcome.status is not Status.ACCEPTED or found is None or not found.active:
            log.info("session-over", company=token.company_id, user=token.user_id, code=outcome.code)
            raise session_over(headers=CHALLENGE)
        return self._tokens(following)

    def _refresh_token(self, asked: Refresh) -> RefreshToken:
        token = RefreshToken.parse(asked.refresh_token)
        if token is None or not _is_whole(token):
            raise session_over(headers=CHALLENGE)
        return token

    async def logout(self, request: web.Request) -> web.Response:
        token = self._refresh_token(await self._body(request, Refresh))
        command = SignOut(user_id=token.user_id, family_id=token.family_id)
        await self.credentials.decided(request, token.company_id, token.user_id, command)
        return done()

    async def revoke(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, OfUser)
        if asked.user_id != principal.actor.id:
            await self._check_admin(company_id, principal)
        command = RevokeSessions(user_id=asked.user_id, requested_by=str(principal.actor))
        outcome = await self.credentials.decided(request, company_id, asked.user_id, command)
        if outcome.code != credential.unknown.code:  # who never had a password has no sessions
            check(outcome)
        return done()

    # -- passwords -----------------------------------------------------------------------------------------------

    async def change_password(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, NewPassword)
        person = await self._self(company_id, principal)
        self._check_password(asked.new_password, company_id, person.email, person.name)
        hashed = await self.passwords.hash(asked.new_password)

        def change(held: Held) -> ChangePassword:
            version = held.password_version
            return ChangePassword(
                user_id=person.user_id, password_version=version, password_hash=hashed, kept=principal.session
            )

        outcome = await self._attempted(request, company_id, person.user_id, asked.old_password, change)
        self._check_own(outcome)
        return done()

    def _check_password(self, password: str, *about: str | None) -> None:
        found = faults(password, filter(None, about))
        if found:
            errors = tuple(_error("new_password", "password-refused", f"The password {fault}.") for fault in found)
            raise fields_wrong("The new password is not taken.", errors=errors)

    def _check_own(self, outcome: Outcome) -> None:
        """What a wrong password means to somebody who is signed in."""
        if outcome.code == sign_in_locked.code:
            raise locked_out(headers={"Retry-After": outcome.errors[0]["detail"]})
        if outcome.code in (sign_in_failed.code, credential.unknown.code, password_moved.code):
            raise password_wrong()
        check(outcome)

    async def forgot(self, request: web.Request) -> web.Response:
        """The same answer for everybody. An admin makes a one-time token for who asks."""
        await self._body(request, Forgotten)
        return web.Response(status=202, headers=NOT_KEPT)

    async def reset(self, request: web.Request) -> web.Response:
        asked = await self._body(request, Reset)
        company_id = asked.company_id
        self._check_password(asked.new_password, company_id, asked.email, asked.user_id)
        found = await self.credentials.person(company_id, user_id=asked.user_id, email=asked.email)
        user_id = found.user_id if found and found.active else stranger(asked.user_id or asked.email or "")
        held = await self.credentials.held(company_id, user_id)
        if found and held.one_time_digest == digest(asked.token):  # nobody else learns what the name is
            self._check_password(asked.new_password, found.name, found.email)
        command = SetPassword(
            user_id=user_id,
            one_time_digest=digest(asked.token),
            password_hash=await self.passwords.hash(asked.new_password),
        )
        outcome = await self.credentials.decided(request, company_id, user_id, command)
        if outcome.code == credential.unknown.code:
            raise of_refusal(one_time_token_refused)()
        check(outcome)
        return done()

    async def invite(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, OfUser)
        await self._check_admin(company_id, principal)
        found = await self.credentials.person(company_id, user_id=asked.user_id)
        if found is None or not found.active:
            raise of_refusal(user.unknown)()
        token, command = invitation(asked.user_id, str(principal.actor))
        outcome = await self.credentials.decided(request, company_id, asked.user_id, command)
        check(outcome)
        await self.credentials.shown(outcome)
        expires = (outcome.recorded_at + INVITATION).isoformat()
        plain = {"user_id": asked.user_id, "one_time_token": token, "expires_at": expires}
        return answered(201, plain, NOT_KEPT)

    # -- second factor -------------------------------------------------------------------------------------------

    async def enrol(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, Confirmed)
        person = await self._self(company_id, principal)
        await self._check_present(request, company_id, person.user_id, asked.password)
        key = new_key()
        command = EnrolTotp(
            user_id=person.user_id,
            enrolment_id=secrets.token_hex(16),
            secret=self.vault.locked(company_id, person.user_id, key),
        )
        outcome = await self.credentials.decided(request, company_id, person.user_id, command)
        check(outcome)
        await self.credentials.shown(outcome)  # so that the first code can be verified
        return answered(200, {"secret": key, "uri": link(key, person.email)}, NOT_KEPT)

    async def _check_present(self, request: web.Request, company_id: str, user_id: str, password: str) -> None:
        """Raises where the password is wrong, which counts as a failed sign-in."""
        held = await self.credentials.held(company_id, user_id)
        if not await self.passwords.fits(password, held.password_hash):
            await self._count_failure(request, company_id, user_id, held)

    async def _count_failure(self, request: web.Request, company_id: str, user_id: str, held: Held) -> NoReturn:
        failed = RecordFailedSignIn(user_id=user_id, password_version=held.password_version)
        self._check_own(await self.credentials.decided(request, company_id, user_id, failed))
        raise password_wrong()

    async def confirm(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, FirstCode)
        user_id = principal.actor.id
        held = await self.credentials.held(company_id, user_id)
        step = step_of(self.vault.opened(company_id, user_id, held.totp_secret), asked.code)
        if held.enrolment_id is None:
            raise of_refusal(totp_unknown)()
        if step is None:
            await self._count_failure(request, company_id, user_id, held)
        codes = recovery_codes()
        command = ConfirmTotp(
            user_id=user_id,
            enrolment_id=held.enrolment_id,
            totp_step=step,
            recovery_digests=tuple(map(recovery_digest, codes)),
        )
        check(await self.credentials.decided(request, company_id, user_id, command))
        return answered(200, {"recovery_codes": codes}, NOT_KEPT)

    async def remove(self, request: web.Request) -> web.Response:
        company_id, principal = self._user(request)
        asked = await self._body(request, Removal)
        user_id = asked.user_id or principal.actor.id
        if asked.password is None:
            await self._check_admin(company_id, principal)
        else:
            await self._check_present(request, company_id, user_id, asked.password)
        command = RemoveTotp(user_id=user_id, requested_by=str(principal.actor))
        check(await self.credentials.decided(request, company_id, user_id, command))
        return done()

    # -- who asks ------------------------------------------------------------------------------------------------

    async def _body(self, request: web.Request, kind: type[Body]) -> Body:
        self.door.accepts_json(request)
        plain = await self.door.body(request)
        try:
            return kind.model_validate(plain)
        except ValidationError as fault:
            errors = field_errors(fault)
            raise fields_wrong(f"{len(errors)} of the fields are wrong.", errors=errors) from None

    def _user(self, request: web.Request) -> tuple[str, Principal]:
        """The company and the user that a request with a token comes from."""
        principal = self.door.principal(request)
        if principal.company_id is None or principal.actor.kind != "user":
            raise not_permitted("Only a user of a company has a password.")
        return principal.company_id, principal

    async def _self(self, company_id: str, principal: Principal) -> Person:
        found = await self.credentials.person(company_id, user_id=principal.actor.id)
        if found is None or not found.active:
            raise not_found()
        return found

    async def _check_admin(self, company_id: str, principal: Principal) -> None:
        found = await self.credentials.person(company_id, user_id=principal.actor.id)
        if found is None or not found.active or Role.ADMIN not in found.roles:
            raise not_permitted("Only an admin of the company does this for others.")


def _is_whole(token: RefreshToken) -> bool:
    try:
        COMPANY_ID.validate_python(token.company_id)
        SignOut(user_id=token.user_id, family_id=token.family_id)
    except ValidationError:
        return False
    return True


def stranger(name: str) -> str:
    """The id of somebody who is not there, as the lane is asked about them all the same."""
    hashed = hashlib.sha256(name.casefold().encode()).digest()
    return "stranger-" + base64.b32encode(hashed).decode().rstrip("=").lower()


def invitation(user_id: str, requested_by: str) -> tuple[str, IssueOneTimeToken]:
    """A one-time token, and the command that lets it count."""
    token = secrets.token_urlsafe(32)
    seconds = int(INVITATION.total_seconds())
    command = IssueOneTimeToken(
        user_id=user_id, digest=digest(token), lifetime_seconds=seconds, requested_by=requested_by
    )
    return token, command


def check(outcome: Outcome) -> None:
    """Raises the problem that a refusal is."""
    if outcome.status is not Status.ACCEPTED:
        item = OutcomeItem(**{name: getattr(outcome, name) for name in OutcomeItem.model_fields})
        raise of_outcome(item)(outcome.detail or "")


def done() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204, headers=NOT_KEPT)


def _error(field: str, code: str, detail: str) -> dict[str, Any]:
    return {"field": field, "pointer": f"/{field}", "code": code, "detail": detail}
