"""What a request must pass before anything is done for it: token, media types, body."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from aiohttp import web

from api import headers
from api.oidc import Identity, Provider
from api.permissions import Permissions
from api.problems import (
    Problem,
    bad_header,
    body_too_large,
    malformed,
    not_acceptable,
    not_found,
    not_permitted,
    token_missing,
    token_refused,
    too_slow,
    unsupported_media_type,
)
from api.spreadsheet import CSV
from api.systems import Systems
from api.tokens import BadToken, Keys, Principal, verifier
from domain.decider import Actor
from topics import cloudevents
from topics.keys import PREFIX
from topics.settings import Settings

ROOT = "/api/v1"
COMPANY_HEADER = "Bitcorp-Company"
COMPANY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
JSON = "application/json"
BODY_SECONDS = 20.0
REQUEST_ID = web.RequestKey("request_id", str)
PRINCIPAL = web.RequestKey("principal", Principal)
REFUSED = web.RequestKey("refused", Problem)
TRACEPARENT = web.RequestKey("traceparent", str)
ORIGIN = web.RequestKey("origin", str)


@dataclass(frozen=True)
class Door:
    """Checks that all routes under `/api` share; each raises the problem it finds."""

    settings: Settings
    keys: Keys
    permissions: Permissions
    systems: Systems
    provider: Provider | None = None

    @cached_property
    def _verified(self) -> Callable[[str], Principal]:
        return verifier(self.settings, self.keys)

    async def identify(self, request: web.Request) -> Principal | None:
        """Find out who asks, once for each request; None where it is nobody whom we believe."""
        try:
            found = request[PRINCIPAL] = await self._believed(request, bearer(request))
        except Problem as problem:
            request[REFUSED] = problem
            return None
        structlog.contextvars.bind_contextvars(company=found.company_id, actor=str(found.actor))
        return found

    def principal(self, request: web.Request) -> Principal:
        """Who asks. The token's own words never reach an answer or a log."""
        if PRINCIPAL not in request:
            raise request[REFUSED]
        return request[PRINCIPAL]

    async def _believed(self, request: web.Request, token: str) -> Principal:
        if token.startswith(PREFIX):
            with translated():
                return await self.systems.of_key(token, request[REQUEST_ID])
        if self.provider is not None and self.provider.issued(token):
            return await self._of_another(request, self.provider, token)
        with translated():
            return self._verified(token)

    async def _of_another(self, request: web.Request, provider: Provider, token: str) -> Principal:
        """The user of the company named for whom the identity stands."""
        with translated():
            identity = await provider.verify(token)
        company_id = self._company_of(request, identity)
        user_id = await self.permissions.holder(company_id, identity.issuer, identity.subject)
        if user_id is None:
            raise not_permitted("The identity stands for no user of the company that the request names.")
        return Principal(Actor("user", user_id), company_id, expires_at=identity.expires_at)

    def _company_of(self, request: web.Request, identity: Identity) -> str:
        """An identity may stand for users of several companies, so something must say which is meant."""
        claim = self.settings.oidc_company_claim
        named = str(identity.claims.get(claim, "")) if claim else headers.single(request.headers, COMPANY_HEADER) or ""
        if not COMPANY_ID.fullmatch(named):
            raise bad_header(f"{COMPANY_HEADER} must name the company." if not claim else "The token names no company.")
        return named

    def company(self, principal: Principal) -> str:
        """The company whose views the caller reads; operators have none, so nothing is there for them."""
        if principal.company_id is None:
            raise not_found("An operator belongs to no company; its resources are not shown.")
        return principal.company_id

    def accepts_json(self, request: web.Request) -> None:
        if not headers.accepts(request.headers, JSON):
            raise not_acceptable(f"The answer is {JSON}, which Accept excludes.")

    def prefers_csv(self, request: web.Request) -> bool:
        """Whether a list shall be CSV: where it is asked for, and JSON is not."""
        if headers.accepts(request.headers, JSON):
            return False
        if not headers.accepts(request.headers, CSV):
            raise not_acceptable(f"Lists are {JSON} or {CSV}, which Accept excludes.")
        return True

    async def body(self, request: web.Request) -> dict[str, Any]:
        """The JSON object that the request carries."""
        self._check_media_type(request)
        parsed = _parse(await self._read(request))
        if not isinstance(parsed, dict):
            raise malformed("The request body must be a JSON object.")
        return parsed

    def _check_media_type(self, request: web.Request) -> None:
        charset = (request.charset or "utf-8").lower()
        if request.content_type != JSON or "Content-Type" not in request.headers or charset not in ("utf-8", "utf8"):
            raise unsupported_media_type(f"The request body must be {JSON} in UTF-8.", headers={"Accept": JSON})
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise unsupported_media_type("The request body must be sent without Content-Encoding.")

    async def _read(self, request: web.Request) -> bytes:
        limit = self.settings.body_limit
        if (request.content_length or 0) > limit:
            raise body_too_large(f"The request body may have {limit:,} bytes.", closes=True)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
        except TimeoutError as fault:
            raise too_slow(f"The request body did not arrive within {BODY_SECONDS:.0f} s.", closes=True) from fault
        except web.HTTPRequestEntityTooLarge as fault:
            raise body_too_large(f"The request body may have {limit:,} bytes.", closes=True) from fault
        except web.RequestPayloadError as fault:
            raise malformed("The request body is broken.", closes=True) from fault


@contextmanager
def translated() -> Iterator[None]:
    """The problem that a bad token is."""
    try:
        yield
    except BadToken as fault:
        challenge = f'Bearer realm="bitcorp", error="invalid_token", error_description="{fault}"'
        raise token_refused(f"{fault}.".capitalize(), headers={"WWW-Authenticate": challenge}) from fault


def bearer(request: web.Request) -> str:
    """The token of the request. Raises the problem that there is none, or are several."""
    scheme, _, token = (headers.single(request.headers, "Authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise token_missing(headers={"WWW-Authenticate": 'Bearer realm="bitcorp"'})
    return token.strip()


def _parse(body: bytes) -> Any:
    try:
        return cloudevents.parse_json(body)
    except cloudevents.Malformed as fault:
        raise malformed(f"The request body cannot be read: {fault}.") from fault
