"""What all routes of signing in share: the body, who asks, the password once more, and the lane's no."""

import base64
import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import NoReturn, TypeVar

from aiohttp import web
from pydantic import ValidationError

from api.answers import answered
from api.credentials import Credentials
from api.door import Door
from api.forms import Asked, Told
from api.passwords import Passwords
from api.problems import fields_wrong, locked_out, not_found, not_permitted, of_outcome, password_wrong
from api.second_factor import Vault
from api.tokens import Principal
from domain.credential import RecordFailedSignIn, credential, password_moved, sign_in_failed, sign_in_locked
from domain.engine import field_errors
from domain.model import Command, Role
from domain.record import Outcome, Status
from views.credentials import Held
from views.outcomes import OutcomeItem
from views.users import Person

NOT_KEPT = {"Cache-Control": "no-store"}
#: How often a sign-in is begun anew where the password changed between reading its hash and deciding.
ATTEMPTS = 3
#: What a wrong password comes to for somebody who is signed in.
WRONG = {refusal.code for refusal in (sign_in_failed, credential.unknown, password_moved)}

Body = TypeVar("Body", bound=Asked)


class Desk:
    """Where a request is taken and somebody's password is verified."""

    def __init__(self, door: Door, credentials: Credentials) -> None:
        self.door = door
        self.credentials = credentials
        self.passwords = Passwords()

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.door.settings)

    async def body(self, request: web.Request, kind: type[Body]) -> Body:
        """Raises the problem that names every wrong field, and repeats none."""
        self.door.accepts_json(request)
        plain = await self.door.body(request)
        try:
            return kind.model_validate(plain)
        except ValidationError as fault:
            errors = field_errors(fault)
            raise fields_wrong(f"{len(errors)} of the fields are wrong.", errors=errors) from None

    def user(self, request: web.Request) -> tuple[str, Principal]:
        """The company and the user that a request with a token comes from."""
        principal = self.door.principal(request)
        if principal.company_id is None or principal.actor.kind != "user":
            raise not_permitted("Only a user of a company has a password.")
        return principal.company_id, principal

    async def person(self, company_id: str, principal: Principal) -> Person:
        """Who asks; an active user."""
        found = await self.credentials.person(company_id, user_id=principal.actor.id)
        if found is None or not found.active:
            raise not_found()
        return found

    async def check_admin(self, company_id: str, principal: Principal) -> None:
        if Role.ADMIN not in (await self.person(company_id, principal)).roles:
            raise not_permitted("Only an admin of the company does this for others.")

    async def attempted(
        self,
        request: web.Request,
        company_id: str,
        user_id: str,
        password: str,
        wish: Callable[[Held], Command | None],
    ) -> Outcome:
        """What the lane says of the wish, which is None where a code is wrong; a wrong password or code is counted.
        Begins anew where the password was changed meanwhile."""
        for attempt in range(1, ATTEMPTS + 1):
            held = await self.credentials.held(company_id, user_id)
            right = await self.passwords.fits(password, held.password_hash)
            command = (wish(held) if right else None) or failure(user_id, held)
            outcome = await self.credentials.decided(request, company_id, user_id, command)
            if outcome.code != password_moved.code or attempt == ATTEMPTS:
                break
            await self.credentials.shown(outcome)
        return outcome

    async def check_present(self, request: web.Request, company_id: str, user_id: str, password: str) -> None:
        """Raises where the password is wrong, which counts as a failed sign-in."""
        held = await self.credentials.held(company_id, user_id)
        if not await self.passwords.fits(password, held.password_hash):
            await self.count_failure(request, company_id, user_id, held)

    async def count_failure(self, request: web.Request, company_id: str, user_id: str, held: Held) -> NoReturn:
        """Raises `password-wrong`, or `locked-out` after too many."""
        check_own(await self.credentials.decided(request, company_id, user_id, failure(user_id, held)))
        raise password_wrong()


def failure(user_id: str, held: Held) -> RecordFailedSignIn:
    return RecordFailedSignIn(user_id=user_id, password_version=held.password_version)


def stranger(name: str) -> str:
    """The id of somebody who is not there, as the lane is asked about them all the same."""
    hashed = hashlib.sha256(name.casefold().encode()).digest()
    return "stranger-" + base64.b32encode(hashed).decode().rstrip("=").lower()


def check_own(outcome: Outcome) -> None:
    """Raises the problem that a refusal is to somebody who is signed in."""
    if outcome.code == sign_in_locked.code:
        raise locked_out(headers={"Retry-After": str(seconds_locked(outcome))})
    if outcome.code in WRONG:
        raise password_wrong()
    check(outcome)


def seconds_locked(outcome: Outcome) -> int:
    return int(outcome.errors[0]["detail"])


def check(outcome: Outcome) -> None:
    """Raises the problem that a refusal is."""
    if outcome.status is not Status.ACCEPTED:
        item = OutcomeItem(**{name: getattr(outcome, name) for name in OutcomeItem.model_fields})
        raise of_outcome(item)(outcome.detail or "")


def told(status: int, answer: Told) -> web.Response:
    return answered(status, answer.model_dump(mode="json"), NOT_KEPT)


def done() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204, headers=NOT_KEPT)
