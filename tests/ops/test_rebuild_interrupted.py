"""`bitcorp views rebuild` beside a platform at work, stopped in every way, and called again."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.running import Platform
from ops.settings import as_environment
from ops.verify import audit
from tests.agents.load import Load
from tests.agents.upstream import Upstream, until
from tests.ops.shell import start
from topics.settings import Settings

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EVENTS = 500
GROUP = "history"
COPIED = "SELECT coalesce(sum(position), 0)::bigint FROM erp_rebuild_history.view_checkpoint"
SHOWN = "SELECT coalesce(sum(position), 0)::bigint FROM erp.view_checkpoint WHERE view_group = 'history'"
TABLE = "SELECT 'erp.history'::regclass::oid::bigint"


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with Platform(settings.model_copy(update={"api_port": 0}), workers=1) as running:
        yield running


class Database:
    """What is in the database, asked from outside."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.database.get_secret_value()

    def value(self, question: str) -> int:
        """0 where there is no such table yet."""

        async def ask() -> Any:
            connection = await asyncpg.connect(self._dsn)
            try:
                return await connection.fetchval(question)
            except asyncpg.UndefinedTableError:
                return 0
            finally:
                await connection.close()

        return int(asyncio.run(ask()) or 0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody can end a rebuild meanwhile: it waits for the checkpoints of the live group."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(self._dsn))
            transaction = connection.transaction()
            runner.run(transaction.start())
            runner.run(connection.fetch(f"SELECT FROM erp.view_checkpoint WHERE view_group = '{GROUP}' FOR UPDATE"))
            try:
                yield
            finally:
                runner.run(transaction.rollback())
                runner.run(connection.close())


def rebuild(settings: Settings, log: Path) -> "subprocess.Popen[bytes]":
    variables = {name.removeprefix("BITCORP_"): value for name, value in as_environment(settings).items()}
    return start("views", "rebuild", GROUP, log=log, **variables)


def grows_beyond(copied: int, database: Database, running: "subprocess.Popen[bytes]") -> bool:
    return database.value(COPIED) > copied or running.poll() is not None


def test_a_rebuild_that_is_stopped_in_any_way_goes_on_where_it_was_beside_commands_and_readers(
    platform: Platform, tmp_path: Path
) -> None:
    database, upstream = Database(platform.settings), Upstream(platform.settings)
    load = Load(upstream, seed=7)
    until(lambda: database.value(SHOWN) > EVENTS, 120, "the live view has enough to be rebuilt")
    old, copied = database.value(TABLE), 0
    for number, how in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)):
        log = tmp_path / f"rebuild-{number}.log"
        with database.held():
            running = rebuild(platform.settings, log)
            until(partial(grows_beyond, copied, database, running), what="the copy grows")
            running.send_signal(how)
            assert running.wait(60) != 0
        said = log.read_text()
        assert ("Going on at message" in said) == (number > 0), said
        assert ("To go on where this stopped: bitcorp views rebuild" in said) == (how != signal.SIGKILL), said
        assert database.value(TABLE) == old, "readers see the old table"
        copied = database.value(COPIED)
        until(lambda seen=copied: database.value(SHOWN) > seen, what="commands are decided, and shown")
    ending = rebuild(platform.settings, tmp_path / "rebuild.log")
    assert ending.wait(120) == 0, (tmp_path / "rebuild.log").read_text()
    load.enough()
    said = (tmp_path / "rebuild.log").read_text()
    assert f"Going on at message {copied} of" in said, said
    assert "history is rebuilt from" in said
    assert database.value(TABLE) != old, "readers see the new table"
    assert database.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'erp_rebuild%'") == 0
    upstream.until_all_decided()
    upstream.close()
    found = audit(platform.settings, wait=60)
    assert found.clean, found.samples
