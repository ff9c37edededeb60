"""The load of a campaign: a story is sent at a steady rate, whoever is there to take it, and each sending noted.

`sent.jsonl` has one line per sending, written when Kafka has acknowledged it or the API has answered, or neither came.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, Message, Producer

from api.commands import path_of
from api.door import ROOT
from domain import BUSINESS
from ops.fire.story import ADA, COMPANIES, Order, Story, record_of
from ops.fire.waiting import until
from ops.tokens import make_token
from topics.access import QUIET, for_librdkafka
from topics.catalogue import BATCH_LIMIT, partition_of
from topics.settings import Settings
from topics.signing import signer_of

START_SECONDS = 90.0
HTTP_AT_ONCE = 8
ANSWER_SECONDS = 15.0
#: Longer than any fault lasts: what is then not acknowledged may or may not have come.
KAFKA_SECONDS = 90.0
#: Statuses that say that the command was taken, and perhaps decided already.
TAKEN = frozenset({200, 201, 202, 404, 409, 412})
#: What an API may say to a good command: taken, or that Kafka is away. Or nothing, where it dies.
HONEST = TAKEN | {None, 503}


@dataclass(frozen=True)
class Sent:
    """One sending; `status` is that of HTTP, `at` in Unix seconds."""

    id: str
    company: str
    partition_company: str
    type: str
    kind: str
    via: str
    at: float
    acknowledged: bool
    status: int | None = None


@dataclass
class Record:
    """All sendings, in memory and as lines of a file."""

    path: Path
    sent: list[Sent] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, order: Order, key: bytes | None, at: float, acknowledged: bool, status: int | None = None) -> None:
        command = order.command
        used = (key or b"").decode("utf-8", "replace")
        sent = Sent(command.id, command.company_id, used, command.type, order.kind, order.via, at, acknowledged, status)
        with self._lock, self.path.open("a") as file:
            self.sent.append(sent)
            file.write(json.dumps(vars(sent)) + "\n")


class Upstream:
    """Sends over Kafka, signed as one of the platform's processes, and notes what becomes of each sending."""

    def __init__(self, settings: Settings, record: Record) -> None:
        self._settings, self._record = settings, record
        self._sign = signer_of(settings)
        self._producer = Producer(
            for_librdkafka(settings)
            | {
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": BATCH_LIMIT,
                "message.timeout.ms": int(KAFKA_SECONDS * 1000),
            },
            logger=QUIET,
        )

    def send(self, order: Order) -> None:
        partitions = self._settings.partitions
        partition = partition_of(order.command.company_id.encode(), partitions)
        astray = (partition + 1) % partitions if order.kind == "mis-keyed" else partition
        signed = order if order.spoiled else order._replace(command=self._sign(order.command))
        record = record_of(signed, self._settings.prefix, astray)
        at = time.time()

        def delivered(fault: KafkaError | None, message: Message) -> None:
            self._record.note(order, record.key, at, fault is None)

        headers: Any = list(record.headers)
        self._producer.produce(record.topic, record.value, record.key, astray, headers=headers, on_delivery=delivered)

    def poll(self, seconds: float) -> None:
        """Let acknowledgements come in for so long."""
        self._producer.poll(seconds)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._producer.flush(KAFKA_SECONDS + 10)


class Clients:
    """Sends over HTTP, to one API and the other, some requests at once."""

    def __init__(self, settings: Settings, urls: Sequence[str], record: Record) -> None:
        self._settings, self._urls, self._record = settings, urls, record
        self._pool = ThreadPoolExecutor(HTTP_AT_ONCE)
        self._tokens: dict[str, str] = {}
        self._count = 0

    def send(self, order: Order) -> None:
        self._count += 1
        url = self._urls[self._count % len(self._urls)]
        self._pool.submit(self._request, order, url)

    def _request(self, order: Order, url: str) -> None:
        at, status = time.time(), None
        with suppress(OSError, http.client.HTTPException):
            status = self._post(order, url)
        self._record.note(order, order.command.company_id.encode(), at, status in TAKEN, status)

    def _post(self, order: Order, url: str) -> int:
        path, body, headers = request_of(order)
        return self._ask(url, "POST", path, order.command.company_id, body, headers)

    def _ask(
        self, url: str, method: str, path: str, company: str, body: bytes | None, headers: Mapping[str, str]
    ) -> int:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
        with closing(connection):
            connection.request(method, path, body, {**headers, "Authorization": f"Bearer {self._token(company)}"})
            return connection.getresponse().status

    def known(self) -> bool:
        """Whether both APIs know all companies' people by now."""
        with suppress(OSError, http.client.HTTPException):
            asked = product(self._urls, COMPANIES)
            return all(self._ask(url, "GET", f"{ROOT}/equipment", company, None, {}) == 200 for url, company in asked)
        return False

    def _token(self, company: str) -> str:
        if company not in self._tokens:
            self._tokens[company] = make_token(self._settings, company, ADA.id, None, timedelta(hours=12))
        return self._tokens[company]

    def close(self) -> None:
        """Wait for what is on its way."""
        self._pool.shutdown()


def request_of(order: Order) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of the request that means the order's command."""
    command = order.command
    rule = BUSINESS.rules[command.type]
    data = json.loads(command.data)
    if not rule.creates:
        del data[rule.decider.key]
    headers = {"Content-Type": "application/json", "Idempotency-Key": command.id}
    if command.expected_version is not None:
        headers["If-Match"] = f'"{command.expected_version}"'
    return path_of(rule).replace(f"{{{rule.decider.key}}}", command.aggregate_id), json.dumps(data).encode(), headers


class Load:
    """A story told at `rate` orders a second beside everything else; nobody's slowness slows it."""

    def __init__(self, settings: Settings, urls: Sequence[str], story: Story, rate: float, path: Path) -> None:
        self.record = Record(path)
        self._story, self._rate = story, rate
        self._upstream = Upstream(settings, self.record)
        self._clients = Clients(settings, urls, self.record)
        self._more: list[Order] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def open(self) -> None:
        """Send what every company begins with; return when the APIs show it. Raises TooLate."""
        for order in self._story.openings():
            self._upstream.send(order)
        until(self._clients.known, START_SECONDS, "the companies are open")

    def start(self) -> None:
        self._thread.start()

    def add(self, *orders: Order) -> None:
        """Send these too, as soon as may be."""
        self._more.extend(orders)

    def stop(self) -> None:
        """Send nothing more; return when all that was sent is noted."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join()
        self._upstream.close()
        self._clients.close()

    def _run(self) -> None:
        due = time.monotonic()
        for order in self._story:
            due += 1 / self._rate
            while (early := due - time.monotonic()) > 0 and not self._ends.is_set():
                self._upstream.poll(min(early, 0.05))
            if self._ends.is_set():
                return
            self._send(order)
            while self._more:
                self._send(self._more.pop())

    def _send(self, order: Order) -> None:
        ways: dict[str, Callable[[Order], None]] = {"kafka": self._upstream.send, "http": self._clients.send}
        ways[order.via](order)
