"""What a request must pass before anything is done for it: token, media types, body."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from api import headers
from api.problems import (
    Problem,
    body_too_large,
    malformed,
    not_acceptable,
    not_found,
    token_missing,
    token_refused,
    too_slow,
    unsupported_media_type,
)
from api.spreadsheet import CSV
from api.tokens import BadToken, Keys, Principal, verify
from topics import cloudevents
from topics.settings import Settings

ROOT = "/api/v1"
JSON = "application/json"
BODY_SECONDS = 20.0
REQUEST_ID = web.RequestKey("request_id", str)
TRACEPARENT = web.RequestKey("traceparent", str)
#: Who has come in with a company's key: see `api.keys`.
KEY = web.RequestKey("key", Principal)


@dataclass(frozen=True)
class Door:
    """Checks that all routes under `/api` share; each raises the problem it finds."""

    settings: Settings
    keys: Keys

    def principal(self, request: web.Request) -> Principal:
        """Who asks. The token's own words never reach an answer or a log."""
        found = request.get(KEY) or self._of_token(bearer(request))
        structlog.contextvars.bind_contextvars(company=found.company_id, actor=str(found.actor))
        return found

    def _of_token(self, token: str | None) -> Principal:
        if token is None:
            raise token_missing(headers={"WWW-Authenticate": 'Bearer realm="bitcorp"'})
        try:
            return verify(self.settings, self.keys, token)
        except BadToken as fault:
            raise refused(str(fault)) from fault

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


def bearer(request: web.Request) -> str | None:
    """What the request carries as `Authorization: Bearer ...`."""
    scheme, _, token = (headers.single(request.headers, "Authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def refused(why: str) -> Problem:
    """The problem of a token or key that opens nothing; `why` never repeats it."""
    challenge = f'Bearer realm="bitcorp", error="invalid_token", error_description="{why}"'
    return token_refused(f"{why}.".capitalize(), headers={"WWW-Authenticate": challenge})


def _parse(body: bytes) -> Any:
    try:
        return cloudevents.parse_json(body)
    except cloudevents.Malformed as fault:
        raise malformed(f"The request body cannot be read: {fault}.") from fault
