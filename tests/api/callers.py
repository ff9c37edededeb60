"""Who talks to the API in tests, and how the processes of a whole system are started."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import Producer

from api.tokens import mint
from domain.decider import Actor
from topics.catalogue import COMMANDS
from topics.settings import Settings

ROOT = "/api/v1"
PATIENCE = 120


def until(fact: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The fact as soon as it is true; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


@dataclass
class Caller:
    """Somebody with a token. Paths without a leading slash are those of `/api/v1/`."""

    url: str
    token: str | None
    session: requests.Session = field(default_factory=requests.Session)

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        address = self.url + (path if path.startswith("/") else f"{ROOT}/{path}")
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.session.request(
            method, address, headers=bearer | (headers or {}), timeout=60, allow_redirects=False, **more
        )

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        return self.request("GET", path, headers, params=query)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
        return self.request("POST", path, headers, json=body)

    def send(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        """A body as it is."""
        return self.request("POST", path, {"Content-Type": "application/json"} | (headers or {}), data=body)

    def do(self, path: str, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
        """A command whose outcome is waited for."""
        return self.post(path, body, {"Prefer": "wait=20"} | (headers or {}))


@dataclass
class Api:
    """A running API and the settings that its tokens are made with."""

    settings: Settings
    url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def user(self, name: str, company: str = "acme") -> Caller:
        return Caller(self.url, mint(self.settings, Actor("user", name), company))

    def operator(self, name: str = "root") -> Caller:
        return Caller(self.url, mint(self.settings, Actor("operator", name), None))

    def nobody(self) -> Caller:
        return Caller(self.url, None)


WORKERS = {
    "lanes": "agents.decide",
    "credentials": "agents.decide:credentials",
    "views": "agents.project",
    "audit": "agents.recorder",
    "api": "api.app",
}


def run(module: str, settings: Settings) -> subprocess.Popen[bytes]:
    """`main` of the module (behind a colon: for that realm) as a process that logs into the settings' directory."""
    module, _, realm = module.partition(":")
    secret = {"database": settings.database.get_secret_value(), "kafka": settings.kafka, "log_format": "json"}
    names = ("prefix", "directory", "partitions", "api_port", "wait_limit", "rate_limits", "most_in_flight")
    plain = {name: str(getattr(settings, name)) for name in names}
    environment = {f"BITCORP_{name.upper()}": value for name, value in (plain | secret).items()}
    given = f"Settings(), REALMS[{realm!r}]" if realm else "Settings()"
    code = f"from domain import REALMS; from topics.settings import Settings; from {module} import main; main({given})"
    log = settings.directory / f"{realm or (module.partition('.')[2] if module != 'api.app' else 'api')}.log"
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | environment, stdout=output, stderr=output
        )


def logged(path: Path, event: str) -> list[dict[str, Any]]:
    """Log lines of that event."""
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]


def address_of(log: Path, process: subprocess.Popen[bytes]) -> str:
    def listening() -> str | None:
        assert process.poll() is None, log.read_text()
        return next((line["url"] for line in logged(log, "api-listens")), None)

    return str(until(listening, "the API listens"))


def publish(settings: Settings, company_id: str, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> str:
    """A command as an upstream system writes it to Kafka; gives the id that a dead letter about it has."""
    places: list[tuple[int | None, int | None]] = []
    producer = Producer({"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"})
    topic = COMMANDS.named(settings.prefix)
    producer.produce(
        topic,
        value,
        company_id.encode(),
        headers=list(headers),
        on_delivery=lambda _, told: places.append((told.partition(), told.offset())),
    )
    assert producer.flush(20) == 0
    return "commands-{}-{}".format(*places[0])


def open_company(api: Api, company_id: str, admin: str) -> None:
    body = {
        "company_id": company_id,
        "name": company_id.title(),
        "time_zone": "America/Lima",
        "currency": "PEN",
        "admin": {"user_id": admin, "name": admin.title(), "email": f"{admin}@example.com"},
    }
    opened = api.operator().do("companies", body)
    assert opened.status_code == 201, opened.text
    defined = api.user(admin, company_id).do("categories", {"category_id": "excavators", "name": "Excavators"})
    assert defined.status_code == 201, defined.text
