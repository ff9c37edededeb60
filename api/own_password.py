"""Changing a password, and setting one by a one-time token."""

import secrets
from datetime import timedelta
from typing import Any

from aiohttp import web

from api.desk import NOT_KEPT, Desk, check, check_own, done, stranger, told
from api.forms import Forgotten, Invitation, NewPassword, OfUser, Reset
from api.passwords import faults
from api.problems import fields_wrong, of_refusal
from api.second_factor import digest
from domain.credential import ChangePassword, IssueOneTimeToken, SetPassword, credential, one_time_token_refused
from domain.user import user
from views.credentials import Held

LIFETIME = timedelta(hours=72)


class OwnPassword:
    """What somebody may be who comes in."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def change_password(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, NewPassword)
        person = await self.desk.person(company_id, principal)
        _check_taken(asked.new_password, company_id, person.email, person.name)
        hashed = await self.desk.passwords.hash(asked.new_password)

        def change(held: Held) -> ChangePassword:
            version = held.password_version
            return ChangePassword(
                user_id=person.user_id, password_version=version, password_hash=hashed, kept=principal.session
            )

        check_own(await self.desk.attempted(request, company_id, person.user_id, asked.old_password, change))
        return done()

    async def forgot(self, request: web.Request) -> web.Response:
        """The same answer for everybody. An admin makes a one-time token for who asks."""
        await self.desk.body(request, Forgotten)
        return web.Response(status=202, headers=NOT_KEPT)

    async def reset(self, request: web.Request) -> web.Response:
        asked = await self.desk.body(request, Reset)
        company_id = asked.company_id
        _check_taken(asked.new_password, company_id, asked.email, asked.user_id)
        found = await self.desk.credentials.person(company_id, user_id=asked.user_id, email=asked.email)
        user_id = found.user_id if found and found.active else stranger(asked.user_id or asked.email or "")
        held = await self.desk.credentials.held(company_id, user_id)
        if found and held.one_time_digest == digest(asked.token):  # nobody else learns what the name is
            _check_taken(asked.new_password, found.name, found.email)
        hashed = await self.desk.passwords.hash(asked.new_password)
        command = SetPassword(user_id=user_id, one_time_digest=digest(asked.token), password_hash=hashed)
        outcome = await self.desk.credentials.decided(request, company_id, user_id, command)
        if outcome.code == credential.unknown.code:
            raise of_refusal(one_time_token_refused)()
        check(outcome)
        return done()

    async def invite(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, OfUser)
        await self.desk.check_admin(company_id, principal)
        found = await self.desk.credentials.person(company_id, user_id=asked.user_id)
        if found is None or not found.active:
            raise of_refusal(user.unknown)()
        token, command = invitation(asked.user_id, str(principal.actor))
        outcome = await self.desk.credentials.decided(request, company_id, asked.user_id, command)
        check(outcome)
        await self.desk.credentials.shown(outcome)  # so that the name is known when the token is used
        expires = outcome.recorded_at + LIFETIME
        return told(201, Invitation(user_id=asked.user_id, one_time_token=token, expires_at=expires))


def invitation(user_id: str, requested_by: str) -> tuple[str, IssueOneTimeToken]:
    """A one-time token, and the command that lets it count."""
    token = secrets.token_urlsafe(32)
    seconds = int(LIFETIME.total_seconds())
    command = IssueOneTimeToken(
        user_id=user_id, digest=digest(token), lifetime_seconds=seconds, requested_by=requested_by
    )
    return token, command


def _check_taken(password: str, *about: str | None) -> None:
    found = faults(password, filter(None, about))
    if found:
        raise fields_wrong("The new password is not taken.", errors=tuple(map(_error, found)))


def _error(fault: str) -> dict[str, Any]:
    place = {"field": "new_password", "pointer": "/new_password"}
    return {**place, "code": "password-refused", "detail": f"The password {fault}."}
