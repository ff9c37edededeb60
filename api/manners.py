"""What every answer has in common: ids, problems for errors, security headers, compression, a line in the log."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import web

from api import cors, headers
from api.door import REQUEST_ID, TRACEPARENT
from api.limits import RATE_HEADERS
from api.problems import (
    Problem,
    answer,
    body_too_large,
    internal_error,
    malformed,
    method_not_allowed,
    not_found,
)
from topics.metrics import API_REQUEST_SECONDS, API_REQUESTS
from topics.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",  # browsers' filters opened holes of their own; the content policy does their work
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOTHING_LOADED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HSTS = "max-age=31536000; includeSubDomains"
WORTH_COMPRESSING = 1024
PROBED = ("/health", "/ready", "/metrics")

log = structlog.get_logger("api")


class Manners:
    """The middleware around all routes, and the hook before every answer."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.api_url.rstrip("/")
        self._origins = cors.origins(settings.cors_origins)

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        structlog.contextvars.clear_contextvars()  # what the connection's last request left
        request[REQUEST_ID] = headers.request_id(request.headers)
        request[TRACEPARENT] = headers.traceparent(request.headers)
        started = time.perf_counter()
        trace = request[TRACEPARENT].split("-")[1]
        with structlog.contextvars.bound_contextvars(request=request[REQUEST_ID], trace=trace):
            response = await self._answered(request, handler)
            self._record(request, response, time.perf_counter() - started)
        compress(request, response)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as fault:
            if request.method == "OPTIONS":
                return web.Response(status=204, headers={"Allow": _allowed(fault)})
            return self._problem(request, of_http(fault))
        except web.HTTPException as fault:
            return self._problem(request, of_http(fault))
        except Problem as problem:
            return self._problem(request, problem)
        except Exception:
            log.exception("request-failed")
            return self._problem(request, internal_error())

    def _problem(self, request: web.Request, problem: Problem) -> web.Response:
        ids = {"request_id": request[REQUEST_ID], "traceparent": request[TRACEPARENT]}
        return answer(problem, problem.body(request.rel_url.raw_path, self._base) | ids)

    def _record(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        route = route_of(request)
        API_REQUESTS.labels(route, request.method, response.status).inc()
        API_REQUEST_SECONDS.labels(route, request.method).observe(seconds)
        say = log.debug if route in PROBED else log.info
        say("request", method=request.method, route=route, status=response.status, seconds=round(seconds, 4))

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """The last word on headers; also for answers that no handler of ours made."""
        for name, value in security_headers(self._base).items():
            response.headers.setdefault(name, value)
        with suppress(KeyError):
            response.headers["X-Request-Id"] = request[REQUEST_ID]
            response.headers["traceparent"] = request[TRACEPARENT]
        response.headers.update(request.get(RATE_HEADERS, {}))
        cors.allow(request, response, self._origins)
        response.headers.popall("Server", None)


def security_headers(base: str) -> dict[str, str]:
    """For every answer; HSTS only where the public address is https."""
    plain = SECURITY | {"Content-Security-Policy": NOTHING_LOADED}
    return plain | ({"Strict-Transport-Security": HSTS} if base.startswith("https://") else {})


def of_http(fault: web.HTTPException) -> Problem:
    """The problem behind aiohttp's own refusals."""
    match fault:
        case web.HTTPNotFound():
            return not_found()
        case web.HTTPMethodNotAllowed():
            return method_not_allowed(f"{fault.method} is not among them.", headers={"Allow": _allowed(fault)})
        case web.HTTPRequestEntityTooLarge():
            return body_too_large(closes=True)
        case _ if fault.status < 500:
            return malformed(fault.reason)
        case _:
            return internal_error()


def _allowed(fault: web.HTTPMethodNotAllowed) -> str:
    return ", ".join(sorted({*fault.allowed_methods, "OPTIONS"}))


def route_of(request: web.Request) -> str:
    """The route's pattern, never the path itself: logs and metrics must not grow with the ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(none)"


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Gzip what is long. A strong ETag promises the same bytes, so an answer that has one is sent as it is."""
    if (response.content_length or 0) < WORTH_COMPRESSING:
        return
    response.headers.add("Vary", "Accept-Encoding")
    if not response.headers.get("ETag", "").startswith('"') and headers.accepts_gzip(request.headers):
        response.enable_compression(web.ContentCoding.gzip)
