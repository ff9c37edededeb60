"""The API as one process: it publishes commands and reads views, and holds neither state nor rules."""

import asyncio
import signal
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog
import uvloop
from aiohttp import web

from api.auth import Auth
from api.bulk import Bulk
from api.commands import Commands
from api.credentials import Credentials
from api.database import Database
from api.dead_letters import Retries
from api.docs import Docs
from api.door import Door
from api.in_flight import InFlight
from api.keys import NewKeys
from api.limits import make_limits
from api.manners import Manners
from api.me import Self
from api.oidc import Provider
from api.outcomes import Follower
from api.permissions import Permissions
from api.probes import Probes
from api.queries import Queries
from api.server import Runner
from api.systems import Systems
from api.tokens import accepted_keys
from domain import CREDENTIALS
from topics import logs, metrics
from topics.access import check
from topics.garbage import collect_rarely
from topics.publisher import Publisher
from topics.settings import Settings
from views.reading import sign_in_engine

log = structlog.get_logger("api")


def make_app(settings: Settings) -> web.Application:
    """The application with all its routes. Kafka and PostgreSQL are looked for when it starts, and may come later."""
    publisher, in_flight, database = Publisher(settings), InFlight(settings), Database(settings)
    follower = Follower(settings, decided=in_flight.leave)
    decisions, secrets = Follower(settings, CREDENTIALS), Database(settings, sign_in_engine)
    permissions = Permissions(settings, database)
    systems = Systems(permissions, publisher)
    provider = Provider(settings) if settings.oidc_issuer else None
    door = Door(settings, accepted_keys(settings), permissions, systems, provider)
    queries = Queries(door, database, permissions)
    manners, limits = Manners(settings), make_limits(settings, door)
    app = web.Application(middlewares=[manners.around, limits.around], client_max_size=settings.body_limit)
    app.on_response_prepare.append(manners.prepare)
    commands = Commands(door, publisher, follower, queries, in_flight)
    bulk = Bulk(commands)
    for part in (
        commands,
        queries,
        bulk,
        Retries(bulk),
        Auth(door, Credentials(publisher, decisions, database, secrets)),
        NewKeys(commands),
        Self(door, permissions),
        Probes(settings, publisher, follower, database),
        Docs(),
    ):
        app.add_routes(part.routes())

    async def connections(app: web.Application) -> AsyncIterator[None]:
        kept = (publisher, follower, decisions, permissions)
        await asyncio.gather(*(each.start() for each in kept))
        yield
        await systems.stop()
        await asyncio.gather(*(each.stop() for each in (*kept, database, secrets)))

    async def no_more_waiting(app: web.Application) -> None:
        follower.release()
        decisions.release()

    app.cleanup_ctx.append(connections)
    app.on_shutdown.append(no_more_waiting)
    return app


def main(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what is under way and close. Raises NoAccess."""
    logs.configure(settings, "api")
    metrics.identify("api", version("bitcorp-erp"))
    check(settings)
    uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = Runner(make_app(settings), settings)
    await runner.setup()
    collect_rarely()
    try:
        await web.TCPSite(runner, settings.api_host, settings.api_port).start()
        host, port = runner.addresses[0][:2]
        log.info("api-listens", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")
        await stop.wait()
        log.info("api-stops")
    finally:
        await runner.cleanup()
