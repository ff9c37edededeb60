"""Sessions: signing in, refreshing, signing out.

Answers never tell a wrong password from a wrong user or an unknown company, neither by their words nor by the work that
went before them.
"""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import structlog
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from api.credentials import away
from api.desk import Desk, check, done, seconds_locked, stranger, told
from api.forms import Login, OfUser, Refresh, Tokens
from api.problems import locked_out, not_permitted, of_refusal, session_over, sign_in_refused
from api.second_factor import digest, recovery_digest, step_of
from api.tokens import mint, signing_keys
from domain.credential import (
    RefreshSession,
    RevokeSessions,
    SignIn,
    SignOut,
    credential,
    lock_after,
    second_factor_needed,
    sign_in_locked,
)
from domain.decider import Actor
from domain.model import CompanyId
from domain.record import Outcome, Status
from views.credentials import Held

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="bitcorp"'}
MOST_STRANGERS = 10_000

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
        """None for anything that is none of ours."""
        parts = text.split(":")
        if len(parts) != 5 or parts[0] != "bitcorp-refresh":
            return None
        token = cls(*parts[1:])
        try:
            COMPANY_ID.validate_python(token.company_id)
            SignOut(user_id=token.user_id, family_id=token.family_id)
        except ValidationError:
            return None
        return token

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
        left = int(until - now) + 1 if until > now else 0
        if not left:
            failures += 1
            until = now + lock_after(failures).total_seconds()
        self._seen[who] = (failures, until)
        if len(self._seen) > MOST_STRANGERS:
            self._seen.popitem(last=False)
        return left


class Sessions:
    """Nothing of them is kept here but the failures of strangers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.settings = desk.door.settings
        self._strangers = Strangers()
        self._signs = bool(signing_keys(self.settings))
        self._lifetime = self.settings.refresh_days * 24 * 3600

    async def login(self, request: web.Request) -> web.Response:
        asked = await self.desk.body(request, Login)
        self._check_signs()
        found = await self.desk.credentials.person(asked.company_id, email=asked.email)
        user_id = found.user_id if found and found.active else stranger(asked.email)
        token = RefreshToken(asked.company_id, user_id, secrets.token_hex(16), secrets.token_urlsafe(32))
        outcome = await self.desk.attempted(
            request, asked.company_id, user_id, asked.password, lambda held: self._entry(asked, token, held)
        )
        if outcome.status is not Status.ACCEPTED:
            self._refuse(outcome, token)
        if found and found.suspended:
            await self._turn_away(request, token)
        log.info("signed-in", company=asked.company_id, user=user_id)
        return self._tokens(token)

    async def _turn_away(self, request: web.Request, token: RefreshToken) -> NoReturn:
        """Only who has proved to be of the company is told that it is suspended, and his session ends."""
        command = SignOut(user_id=token.user_id, family_id=token.family_id)
        await self.desk.credentials.decided(request, token.company_id, token.user_id, command)
        log.info("company-suspended", company=token.company_id, user=token.user_id)
        raise not_permitted("The company is suspended.")

    def _check_signs(self) -> None:
        if not self._signs:
            raise away("This API has keys to verify access tokens with, and none to sign them.")

    def _entry(self, asked: Login, token: RefreshToken, held: Held) -> SignIn | None:
        """The session to begin; None where the code is wrong. The lane says whether one was needed."""
        step = None
        if asked.code:
            step = step_of(self.desk.vault.opened(token.company_id, token.user_id, held.totp_secret), asked.code)
            if step is None:
                return None
        return SignIn(
            user_id=token.user_id,
            password_version=held.password_version,
            family_id=token.family_id,
            digest=digest(token.secret),
            lifetime_seconds=self._lifetime,
            totp_step=step,
            recovery_digest=recovery_digest(asked.recovery_code) if asked.recovery_code else None,
        )

    def _refuse(self, outcome: Outcome, token: RefreshToken) -> NoReturn:
        if wait := self._wait(outcome, token):
            raise locked_out(headers={"Retry-After": str(wait)})
        if outcome.code == second_factor_needed.code:
            raise of_refusal(second_factor_needed)()
        if outcome.status is Status.FAILED:
            raise away("The sign-in could not be decided.")
        raise sign_in_refused(headers=CHALLENGE)

    def _wait(self, outcome: Outcome, token: RefreshToken) -> int:
        """Seconds until the next attempt is looked at."""
        if outcome.code == credential.unknown.code:
            return self._strangers.failed(token.company_id, token.user_id)
        return seconds_locked(outcome) if outcome.code == sign_in_locked.code else 0

    def _tokens(self, token: RefreshToken) -> web.Response:
        lifetime = timedelta(minutes=self.settings.token_minutes)
        access = mint(self.settings, Actor("user", token.user_id), token.company_id, lifetime, token.family_id)
        seconds = int(lifetime.total_seconds())
        return told(200, Tokens(access_token=access, expires_in=seconds, refresh_token=str(token)))

    async def refresh(self, request: web.Request) -> web.Response:
        token = self._shown(await self.desk.body(request, Refresh))
        self._check_signs()
        following = RefreshToken(token.company_id, token.user_id, token.family_id, secrets.token_urlsafe(32))
        command = RefreshSession(
            user_id=token.user_id,
            family_id=token.family_id,
            presented=digest(token.secret),
            digest=digest(following.secret),
            lifetime_seconds=self._lifetime,
        )
        outcome = await self.desk.credentials.decided(request, token.company_id, token.user_id, command)
        found = await self.desk.credentials.person(token.company_id, user_id=token.user_id)
        if outcome.status is not Status.ACCEPTED or found is None or not found.active:
            log.info("session-over", company=token.company_id, user=token.user_id, code=outcome.code)
            raise session_over(headers=CHALLENGE)
        if found.suspended:
            await self._turn_away(request, following)
        return self._tokens(following)

    def _shown(self, asked: Refresh) -> RefreshToken:
        token = RefreshToken.parse(asked.refresh_token)
        if token is None:
            raise session_over(headers=CHALLENGE)
        return token

    async def logout(self, request: web.Request) -> web.Response:
        token = self._shown(await self.desk.body(request, Refresh))
        command = SignOut(user_id=token.user_id, family_id=token.family_id)
        await self.desk.credentials.decided(request, token.company_id, token.user_id, command)
        return done()

    async def revoke(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, OfUser)
        if asked.user_id != principal.actor.id:
            await self.desk.check_admin(company_id, principal)
        command = RevokeSessions(user_id=asked.user_id, requested_by=str(principal.actor))
        outcome = await self.desk.credentials.decided(request, company_id, asked.user_id, command)
        if outcome.code != credential.unknown.code:  # who never had a password has no sessions
            check(outcome)
        return done()
