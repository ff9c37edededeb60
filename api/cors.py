"""Web pages of other origins: none may read answers but those that a setting names, and they send no cookies."""

import re
from collections.abc import Sequence

from aiohttp import web

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
SHOWN = (
    "Consistency, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, "
    "Retry-After, WWW-Authenticate, X-Request-Id, traceparent"
)
SENT = (
    "Accept, Authorization, Bitcorp-Company, Consistency, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
    "Prefer, X-Request-Id, traceparent"
)
REMEMBERED_SECONDS = "600"


def origins(text: str) -> frozenset[str]:
    """The origins of a list with commas between. Raises ValueError for what is none, such as `*`."""
    found = frozenset(part.strip() for part in text.split(",") if part.strip())
    for origin in found:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"an origin is written https://host or https://host:port, not {origin!r}")
    return found


def allow(request: web.Request, response: web.StreamResponse, allowed: frozenset[str]) -> None:
    """Tell the browser that the page may read the answer, and before that, what it may send."""
    if not allowed:
        return
    response.headers.add("Vary", "Origin")
    given: Sequence[str] = request.headers.getall("Origin", [])
    if len(given) != 1 or given[0] not in allowed:
        return
    response.headers["Access-Control-Allow-Origin"] = given[0]
    response.headers["Access-Control-Expose-Headers"] = SHOWN
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
        response.headers["Access-Control-Allow-Headers"] = SENT
        response.headers["Access-Control-Max-Age"] = REMEMBERED_SECONDS
