"""A real import worker beside a real lane worker: records become machines once, whoever dies, or are set aside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.importer import FAILED, QUARANTINED
from ops.embedded import Stack
from tests.agents.orders import company_on, opening, record_of
from tests.agents.test_worker import PARTITIONS, settings_of
from tests.agents.upstream import Upstream, until, workers_of
from topics.catalogue import IMPORTS, partition_of
from topics.cloudevents import Record
from topics.imports import RawRecord, raw_of_line, write_raw
from topics.provision import create_topics
from topics.settings import Settings

WORKER = "from agents.importer import main; from topics.settings import Settings; main(Settings())"
FIRM = company_on(1, PARTITIONS)
RECORDS = 300
MAPPING = f"""
default_category = "pump"
[organizations]
HQ = {{company = "{FIRM}", currency = "EUR"}}
[states]
ACTIVE = "ACTIVE"
"""


class Site:
    """Import workers of a test, and what is sent to them."""

    def __init__(self, settings: Settings, directory: Path, upstream: Upstream) -> None:
        self.settings = settings
        self.upstream = upstream
        self.mappings = directory / "mappings"
        self.mappings.mkdir()
        (self.mappings / "legacy.toml").write_text(MAPPING)
        self.log = directory / "imports.log"
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        given = self.settings.model_dump(include={"kafka", "prefix", "partitions", "session_seconds", "directory"})
        variables = {f"BITCORP_{name.upper()}": str(value) for name, value in given.items()}
        environment = os.environ | variables | {"BITCORP_MAPPINGS": str(self.mappings)}
        with self.log.open("ab") as log:
            self.workers.append(subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stderr=log))
        return self.workers[-1]

    def bring(self, *raws: RawRecord) -> None:
        self.upstream.send(self.placed(write_raw(raw, FIRM, self.settings.prefix)) for raw in raws)

    def placed(self, record: Record) -> Record:
        return record._replace(partition=partition_of(record.key or b"", PARTITIONS))

    def answered(self) -> int:
        self.upstream.follow()
        return sum(outcomes[0].aggregate == "asset" for outcomes in self.upstream.outcomes.values())

    def reasons(self) -> set[str]:
        self.upstream.follow()
        return {letter.reason for letter in self.upstream.letters}


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[Site]:
    settings = settings_of(stack, tmp_path)
    create_topics(settings)
    with workers_of(settings, tmp_path) as workers:
        workers.start()
        upstream = Upstream(settings)
        commands = opening(FIRM)
        upstream.send(upstream.command(record_of(command)) for command in commands)
        assert upstream.outcome(commands[-1].id).status == "accepted"
        made = Site(settings, tmp_path, upstream)
        yield made
        for worker in made.workers:
            worker.kill()
            worker.wait()
        upstream.close()


def row(line: int, **changes: str) -> RawRecord:
    fields = {"asset_id": str(line), "organization_code": "HQ", "acquisition_date": "2020-01-31", "state": "ACTIVE"}
    return raw_of_line("legacy", "spring", line, json.dumps(fields | changes).encode())


@pytest.mark.long
def test_records_become_machines_once_though_their_worker_dies_and_others_are_set_aside(site: Site) -> None:
    site.start()
    site.bring(*map(row, range(1, RECORDS + 1)))
    until(lambda: site.answered() > RECORDS // 4, what=site.log.read_text())
    site.workers[0].send_signal(signal.SIGKILL)
    site.workers[0].wait()
    lost = Record(IMPORTS.named(site.settings.prefix), -1, FIRM.encode(), b"\xff\x00", ())
    wrong = [row(0, state="LOST"), row(0, organization_code="MOON"), row(0)._replace(source="nobody")]
    site.bring(*wrong, row(0)._replace(data=b"{broken"))
    site.upstream.send([site.placed(lost)])
    site.bring(row(1)._replace(id="another"), row(RECORDS + 1))
    site.start()
    until(lambda: site.answered() == RECORDS + 2, what=site.log.read_text())
    outcomes = [found[0] for found in site.upstream.outcomes.values() if found[0].aggregate == "asset"]
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    changed = [outcome for outcome in outcomes if outcome.first is not None]
    assert len({outcome.aggregate_id for outcome in changed}) == len(changed) == RECORDS + 1
    wanted = {"state-unknown", "organization-unknown", "source-unknown", "malformed"}
    until(lambda: site.reasons() == {QUARANTINED + cause for cause in wanted}, what=str(site.reasons()))
    assert FAILED not in site.reasons()
