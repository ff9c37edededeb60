"""Enrolling a second factor, confirming it, removing it."""

import secrets

from aiohttp import web

from api.desk import Desk, check, done, told
from api.forms import Confirmed, Enrolment, FirstCode, RecoveryCodes, Removal
from api.problems import of_refusal
from api.second_factor import link, new_key, recovery_codes, recovery_digest, step_of
from domain.credential import ConfirmTotp, EnrolTotp, RemoveTotp, totp_unknown


class OwnFactor:
    """What somebody has beside the password."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def enrol(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, Confirmed)
        person = await self.desk.person(company_id, principal)
        await self.desk.check_present(request, company_id, person.user_id, asked.password)
        key = new_key()
        secret = self.desk.vault.locked(company_id, person.user_id, key)
        command = EnrolTotp(user_id=person.user_id, enrolment_id=secrets.token_hex(16), secret=secret)
        outcome = await self.desk.credentials.decided(request, company_id, person.user_id, command)
        check(outcome)
        await self.desk.credentials.shown(outcome)  # so that the first code can be verified
        return told(200, Enrolment(secret=key, uri=link(key, person.email)))

    async def confirm(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, FirstCode)
        user_id = principal.actor.id
        held = await self.desk.credentials.held(company_id, user_id)
        if held.enrolment_id is None:
            raise of_refusal(totp_unknown)()
        step = step_of(self.desk.vault.opened(company_id, user_id, held.totp_secret), asked.code)
        if step is None:
            await self.desk.count_failure(request, company_id, user_id, held)
        codes = recovery_codes()
        command = ConfirmTotp(
            user_id=user_id,
            enrolment_id=held.enrolment_id,
            totp_step=step,
            recovery_digests=tuple(map(recovery_digest, codes)),
        )
        check(await self.desk.credentials.decided(request, company_id, user_id, command))
        return told(200, RecoveryCodes(recovery_codes=tuple(codes)))

    async def remove(self, request: web.Request) -> web.Response:
        company_id, principal = self.desk.user(request)
        asked = await self.desk.body(request, Removal)
        user_id = asked.user_id or principal.actor.id
        if asked.password is None:
            await self.desk.check_admin(company_id, principal)
        else:
            await self.desk.check_present(request, company_id, user_id, asked.password)
        command = RemoveTotp(user_id=user_id, requested_by=str(principal.actor))
        check(await self.desk.credentials.decided(request, company_id, user_id, command))
        return done()
