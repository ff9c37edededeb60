"""The API as one process: it publishes commands and reads views, and holds neither state nor rules."""

import asyncio
import signal
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog
import uvloop
from aiohttp import web

from api.bulk import Bulk
from api.commands import Commands
from api.database import Database
from api.docs import Docs
from api.door import Door
from api.keys import Keys, NewKeys
from api.manners import Manners
from api.outcomes import Follower
from api.probes import Probes
from api.queries import Queries
from api.server import Runner
from api.tokens import accepted_keys
from topics import logs, metrics
from topics.publisher import Publisher
from topics.settings import Settings

log = structlog.get_logger("api")


def make_app(settings: Settings) -> web.Application:
    """The application with all its routes. Kafka and PostgreSQL are looked for when it starts, and may come later."""
    publisher, follower, database = Publisher(settings), Follower(settings), Database(settings)
    door = Door(settings, accepted_keys(settings))
    queries = Queries(door, database)
    manners = Manners(settings)
    keys = Keys(database, publisher)
    app = web.Application(middlewares=[manners.around, keys.around], client_max_size=settings.body_limit)
    app.on_response_prepare.append(manners.prepare)
    commands = Commands(door, publisher, follower, queries)
    for part in (
        commands,
        queries,
        Bulk(commands),
        NewKeys(commands),
        Probes(settings, publisher, follower, database),
        Docs(),
    ):
        app.add_routes(part.routes())

    async def connections(app: web.Application) -> AsyncIterator[None]:
        await asyncio.gather(publisher.start(), follower.start())
        yield
        await keys.stop()
        await asyncio.gather(publisher.stop(), follower.stop(), database.stop())

    async def no_more_waiting(app: web.Application) -> None:
        follower.release()

    app.cleanup_ctx.append(connections)
    app.on_shutdown.append(no_more_waiting)
    return app


def main(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what is under way and close."""
    logs.configure(settings, "api")
    metrics.identify("api", version("bitcorp-erp"))
    uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = Runner(make_app(settings))
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.api_host, settings.api_port).start()
        host, port = runner.addresses[0][:2]
        log.info("api-listens", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")
        await stop.wait()
        log.info("api-stops")
    finally:
        await runner.cleanup()
