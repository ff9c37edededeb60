"""The HTTP server below the routes: limits for slow and broken clients, whose errors are problems too."""

import asyncio
from typing import Any

import structlog
from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from api.manners import security_headers
from api.problems import answer, headers_too_large, internal_error, malformed

#: An idle connection, and one whose headers do not arrive, is closed after this.
IDLE_SECONDS = 30.0
SHUTDOWN_SECONDS = 20.0
#: How long the rest of a body that nobody wants may take to arrive, so that the client can read its answer first.
LINGERING_SECONDS = 5.0

log = structlog.get_logger("api")


class Connection(RequestHandler):
    """One connection; what cannot be parsed as HTTP is answered by a problem as well."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was under way already")
        log.info("request-unreadable", status=status, reason=type(exc).__name__)
        if status >= 500:
            kind = internal_error
        else:
            kind = headers_too_large if isinstance(exc, http_exceptions.LineTooLong) else malformed
        problem = kind("The request is not HTTP as we read it." if kind is malformed else "", closes=True)
        response = answer(problem, problem.body("/"))
        response.headers.update(security_headers(""))
        response.headers["Server"] = ""
        return response


class Server(web.Server):
    """Makes connections of our own kind."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application on our server. Errors below the routes can be shaped in no other place of aiohttp."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            **options,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)
