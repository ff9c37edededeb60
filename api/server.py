"""The HTTP server below the routes: limits for slow and broken clients, whose errors are problems too."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from api.addresses import Networks, counted_address, is_within, networks, parsed
from api.manners import security_headers
from api.problems import answer, headers_too_large, internal_error, malformed
from topics.settings import Settings

#: An idle connection, and one whose headers do not arrive, is closed after this.
IDLE_SECONDS = 30.0
SHUTDOWN_SECONDS = 20.0
#: How long the rest of a body that nobody wants may take to arrive, so that the client can read its answer first.
LINGERING_SECONDS = 5.0

log = structlog.get_logger("api")


@dataclass
class Crowd:
    """Open connections by address; those of trusted proxies bring many clients and are not counted."""

    most: int
    proxies: Networks = ()
    open: Counter[str] = field(default_factory=Counter)

    def enters(self, peer: str) -> bool:
        """Whether one more connection of the peer is let in."""
        self.open[peer] += 1
        return self.open[peer] <= self.most

    def leaves(self, peer: str) -> None:
        self.open[peer] -= 1
        if not self.open[peer]:
            del self.open[peer]

    def counted(self, transport: asyncio.BaseTransport) -> str | None:
        """Under which name a connection is counted; None where it is not."""
        peer = parsed((transport.get_extra_info("peername") or ("",))[0])
        return None if peer is None or is_within(peer, self.proxies) else counted_address(peer)


class Connection(RequestHandler):
    """One connection; what cannot be parsed as HTTP is answered by a problem as well."""

    __slots__ = ("_crowd", "_peer")

    def __init__(self, manager: web.Server, crowd: Crowd, **options: Any) -> None:
        super().__init__(manager, **options)
        self._crowd = crowd
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peer = self._crowd.counted(transport)
        if self._peer is not None and not self._crowd.enters(self._peer):
            log.info("too-many-connections", address=self._peer)
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._peer is not None:
            self._crowd.leaves(self._peer)
        super().connection_lost(exc)

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

    crowd: Crowd

    def __call__(self) -> RequestHandler:
        return Connection(self, self.crowd, loop=asyncio.get_running_loop(), **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application on our server. Errors below the routes can be shaped in no other place of aiohttp."""

    def __init__(self, app: web.Application, settings: Settings, **options: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            **options,
        )
        self._crowd = Crowd(settings.address_connections, networks(settings.trusted_proxies))

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)
        server.crowd = self._crowd
        return server
